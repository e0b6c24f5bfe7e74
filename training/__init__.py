"""Corpora, word vectors, losses, the trainer, metrics and evaluation. Imports only `model`."""
