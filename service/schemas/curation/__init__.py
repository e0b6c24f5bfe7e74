"""Bodies of edits, collections, review and classifiers."""
