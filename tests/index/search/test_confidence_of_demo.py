"""How sure the starter model is of the demo library: see `tests/confidence.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.index.ingest.bulk import add
from earmark.index.library import Library
from earmark.index.search.query import parse
from earmark.index.types import Page, SearchRequest
from earmark.model.audio.decode import decode
from tests.confidence import ABSENT, judge
from tests.everyday import QUERIES, demo

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """The demo sounds, embedded by the starter model."""
    with demo(tmp_path_factory.mktemp("demo"), None) as library:
        yield library


def test_nothing_is_sure_of_what_the_library_lacks(library: Library) -> None:
    judged = judge(library, ABSENT)
    assert len(judged) == 50
    sure = [each.query for each in judged if each.best == "sure"]
    assert len(sure) <= 10, sure


def test_nothing_is_sure_of_what_one_long_recording_lacks(library: Library, tmp_path: Path) -> None:
    """The best of hundreds of windows is near to anything by chance."""
    paths = [Path(clip.path) for clip in library.catalogue.clips()]
    np.random.default_rng(0).shuffle(paths)
    rate = library.embedder.front_end.sample_rate
    night = tmp_path / "night.wav"
    soundfile.write(night, np.concatenate([decode(path, rate) for path in paths]), rate)
    with Library.open(tmp_path / "library", library.embedder, create=True) as one:
        assert not add(one, [night]).failed
        judged = judge(one, ABSENT)
    sure = [each.query for each in judged if each.best == "sure"]
    assert len(sure) <= 2, sure


def test_everyday_queries_have_a_right_hit_that_is_sure_or_maybe(library: Library) -> None:
    judged = judge(library, QUERIES)
    assert len(judged) == 100
    unlikely = [each.query for each in judged if each.best_right == "unlikely"]
    assert len(unlikely) <= 15, unlikely
    sure = [
        is_right
        for each in judged
        for hit, is_right in zip(each.hits, each.right, strict=True)
        if hit.confidence == "sure"
    ]
    assert sum(sure) >= 0.8 * len(sure)


def test_titles_that_hold_the_word_are_sure(library: Library) -> None:
    for word in ("dog", "thunder", "rain", "footsteps", "rooster", "glass"):
        first = library.search(word, 1).hits[0]
        assert first.word_rank
        assert first.confidence == "sure", word


def test_in_order_of_titles_what_does_not_sound_like_it_is_left_out(library: Library) -> None:
    [page] = library.search_batch([SearchRequest(parse("dog"), 10, sort="title")])
    assert isinstance(page, Page)
    titles = [hit.clip.title for hit in page.hits]
    assert "3D printer working" not in titles
    assert "Two dogs barking" in titles
