"""The sound files that a library stores itself, and their paths after it moved."""
