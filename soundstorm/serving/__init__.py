"""A page in the browser that speaks with a pack, served from this machine with the standard library."""
