"""Which tags are heard in a sound, when, and how surely; and the files that state it."""
