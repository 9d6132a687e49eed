"""The step loop, and what each model needs to be trained by it."""
