"""Readers of corpora, one file for each format, and their splits."""
