"""Words → clean tags → word vectors; related words."""
