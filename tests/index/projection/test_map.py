"""The map's tags: once each, however clips spell them."""

from __future__ import annotations

from contextlib import closing

from earmark.index.library import Library
from earmark.index.projection.map import LibraryMap
from tests.index.made import new_clip, vector


def test_a_tag_has_its_most_frequent_spelling(library: Library) -> None:
    spellings = ("Straße", "straße", "STRASSE", "Cafe\u0301")
    with library.catalogue.write() as writer:
        for seed, tag in enumerate(spellings):
            own = vector(seed, library.embedder.dim)
            writer.put(new_clip(str(seed), seed, vector=own, tags=(tag, "rain")))
    with closing(LibraryMap(library)) as made:
        tags = made.view().tags
    assert tags == [("straße", "rain")] * 3 + [("café", "rain")]
