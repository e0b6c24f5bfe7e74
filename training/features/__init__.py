"""Log-mel features of a corpus: cached, windowed, augmented."""
