"""Metrics of speech that a system made, and the report of a recipe."""
