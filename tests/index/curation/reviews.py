"""A library of made-up sounds whose suggestions are computed, for the tests of review."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from earmark.index.catalogue.metadata import Metadata
from earmark.index.curation import suggestions
from earmark.index.curation.suggestions import Suggesting
from earmark.index.library import Library
from tests.index import made

Kept = dict[tuple[str, str], float]  # (id of a clip, tag) → probability


def add(library: Library, count: int, first: int = 0, tags: tuple[str, ...] = ()) -> list[str]:
    """Clips with random vectors, added in one transaction; their ids."""
    dim = library.embedder.dim
    with library.catalogue.write() as writer:
        return [
            writer.put(
                replace(
                    made.new_clip(f"s{seed}", seed),
                    id=f"s{seed}",
                    metadata=Metadata(title=f"Sound {seed}", tags=tags),
                    vector=made.vector(seed, dim),
                    windows=np.zeros((0, dim), np.float32),
                )
            )
            for seed in range(first, first + count)
        ]


def compute(library: Library) -> None:
    """Compute all suggestions."""
    suggestions.ask(library)
    Suggesting(library).run()


def kept(library: Library) -> Kept:
    """What is kept."""
    rows = library.catalogue.database.query(
        "SELECT clips.id, suggested_tags.tag, probability FROM suggestions "
        "JOIN clips USING (row) JOIN suggested_tags ON number = suggestions.tag"
    )
    return {(clip_id, tag): probability for clip_id, tag, probability in rows}


def tags_of(library: Library, clip_id: str) -> tuple[str, ...]:
    """A clip's tags."""
    return library.catalogue.clip(clip_id).tags
