"""Corpora → tags, word vectors and batches."""
