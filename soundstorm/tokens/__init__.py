"""Recordings to semantic and acoustic tokens."""
