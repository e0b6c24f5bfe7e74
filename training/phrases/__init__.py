"""Phrases for sounds in sixteen languages, and the words that the starter model suggests.

`LANGUAGE.csv`: a concept and the phrases, separated by "; ", that people would type to find it. A
concept is the name of one of AudioSet's 527 classes, in their order, or a tag of the corpora.
`vocabulary.txt`: a word a line.
"""
