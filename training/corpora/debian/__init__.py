"""A corpus of openly licensed sounds, rebuilt from Debian packages of pinned versions."""
