"""Related words, made from WordNet 3.1 (`model.text.thesaurus`); LICENSE says whose they are."""
