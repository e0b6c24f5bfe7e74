"""Related words, made from WordNet 3.1 (`model.thesaurus`); LICENSE says whose they are."""
