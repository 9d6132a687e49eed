"""One command each: parse, import what it needs, call it."""
