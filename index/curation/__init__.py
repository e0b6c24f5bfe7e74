"""Work with what a library has: edits, collections, review, classifiers."""
