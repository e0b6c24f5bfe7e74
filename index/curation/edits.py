"""Edits of clips, one or many at once, their history, and undoing them."""
