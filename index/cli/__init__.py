"""The commands that work on a library."""
