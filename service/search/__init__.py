"""Searches in batches: their queue, and the processes that run them."""
