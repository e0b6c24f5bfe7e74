"""Decoding and encoding many sounds at once."""
