"""Readers of training and evaluation corpora, one file a format."""
