"""The sound files of a library: its own, and those that have moved."""
