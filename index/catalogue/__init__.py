"""The catalogue: a SQLite database of clips, tags and embeddings, the library's source of truth."""
