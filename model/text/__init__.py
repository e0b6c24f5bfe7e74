"""Words and phrases → clean tags → word vectors; related words."""
