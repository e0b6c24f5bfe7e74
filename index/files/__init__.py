"""The files of sounds: those that a library stores itself, their paths, and which are gone."""
