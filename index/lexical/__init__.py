"""Word search: stems, query expansion, term weights."""
