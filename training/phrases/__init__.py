"""Phrases for sounds in sixteen languages, and the words that the starter model suggests.

`LANGUAGE.csv`: a concept and the phrases, separated by "; ", that people would type to find it. A
concept is the name of one of AudioSet's 527 classes, in their order, or a tag of the corpora.
`associations.csv`: what people would type who think of the scene and not of the sound ("lumberjack"
for a chainsaw), in English. `vocabulary.txt`: a word a line.
"""
