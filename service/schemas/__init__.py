"""The bodies of HTTP. Times in seconds, cosines in [-1, 1], probabilities in [0, 1]."""
