"""The encoders, and the way from sounds and words to vectors, tags and classes."""
