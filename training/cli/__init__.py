"""The commands that train, evaluate and prepare corpora."""
