"""Sound files → samples → log-mel spectrograms."""
