"""Routes of edits, collections, review and classifiers."""
