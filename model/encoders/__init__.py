"""Encoders: what implements `model.embedder.Embedder`."""
