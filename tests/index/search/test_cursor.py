"""Pages of hits: complete, without repeats, stable while others write; near-duplicates folded."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.index.errors import CursorError
from earmark.index.library import Library
from earmark.index.search.cursor import Cursor
from earmark.index.types import Filter
from tests.index.made import new_clip, vector

WORDS = ("dog", "rain", "sea", "wind", "car")


def put(
    library: Library, names: Sequence[str], vectors: Sequence[np.ndarray] | None = None
) -> None:
    none = np.zeros((0, library.embedder.dim), np.float32)
    with library.catalogue.write() as writer:
        for number, name in enumerate(names):
            chance = random.Random(name)
            tags = tuple(chance.sample(WORDS, 2))
            own = vector(chance.randrange(10**6), library.embedder.dim)
            if vectors is not None:
                own = vectors[number]
            writer.put(new_clip(name, id=name, title=name, tags=tags, vector=own, windows=none))


def pages(library: Library, text: str, k: int, **options: object) -> list[list[str]]:
    """All pages, each a list of ids."""
    found, cursor = [], ""
    while True:
        answer = library.search(text, k, cursor=cursor, **options)
        found.append([hit.clip.id for hit in answer.hits])
        if not answer.next:
            return found
        cursor = answer.next


@pytest.mark.parametrize("text", ["dog rain", "zzzqqqx dog", "-wind"])
@pytest.mark.parametrize("k", [7, 40])
def test_pages_hold_every_clip_once_in_one_order(library: Library, text: str, k: int) -> None:
    """More clips than the smaller pool of candidates."""
    put(library, [f"clip{number}" for number in range(260)])
    found = pages(library, text, k)
    assert {len(each) for each in found[:-1]} == {k}
    ids = [clip_id for each in found for clip_id in each]
    assert len(ids) == len(set(ids))
    passing = library.store.passing(Filter(no_tags=("wind",) if text == "-wind" else ()))
    if text != "-wind":
        assert len(ids) == len(passing) == 260
    # The first of them are those of one large page.
    assert [hit.clip.id for hit in library.search(text, 50).hits] == ids[:50]


def test_pages_are_stable_while_others_write(library: Library) -> None:
    put(library, [f"clip{number}" for number in range(90)])
    before = [clip_id for each in pages(library, "dog rain", 10) for clip_id in each]
    chance, seen, cursor, removed = random.Random(0), [], "", set()
    for number in range(100):
        answer = library.search("dog rain", 5, cursor=cursor)
        seen += [hit.clip.id for hit in answer.hits]
        cursor = answer.next
        if not cursor:
            break
        put(library, [f"new{number}-{each}" for each in range(8)])
        # Also of those on the page: the place must hold when its last hits go.
        gone = set(chance.sample(sorted(set(before) - removed), 2)) | {seen[-1]} - removed
        library.remove(sorted(gone))
        removed |= gone
    assert len(seen) == len(set(seen))
    assert not any(clip_id.startswith("new") for clip_id in seen)
    assert set(before) - removed <= set(seen)


def test_all_last_hits_may_go(library: Library) -> None:
    put(library, [f"clip{number}" for number in range(40)])
    ids = [clip_id for each in pages(library, "dog", 40) for clip_id in each]
    first = library.search("dog", 10)
    library.remove(ids[3:10])
    second = library.search("dog", 10, cursor=first.next)
    # Seven that were seen have gone: the place is where ten stood, so none comes twice.
    assert [hit.clip.id for hit in second.hits] == ids[17:27]


@given(text=st.one_of(st.text(max_size=600), st.binary(max_size=60).map(lambda b: b.hex())))
def test_no_other_text_is_a_cursor(text: str) -> None:
    with pytest.raises(CursorError, match=r"^cursor: expected one that a search gave, got "):
        Cursor.decode(text, "query")


@given(
    values=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda each: st.lists(each, max_size=9),
    )
)
def test_forged_cursors(values: object) -> None:
    text = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
    with pytest.raises(CursorError):
        Cursor.decode(text, "query")


@given(up_to=st.integers(0, 2**60), last=st.lists(st.integers(0, 2**60), max_size=5))
def test_a_cursor_comes_back(up_to: int, last: list[int]) -> None:
    cursor = Cursor(up_to, tuple(last), 17)
    assert Cursor.decode(cursor.encode("query"), "query") == cursor
    with pytest.raises(CursorError, match="another query's"):
        Cursor.decode(cursor.encode("query"), "other")


def test_a_cursor_belongs_to_its_query_and_filter(library: Library) -> None:
    put(library, [f"clip{number}" for number in range(30)])
    cursor = library.search("dog", 5).next
    assert library.search("dog", 7, cursor=cursor).hits
    for text, where, distinct in (
        ("rain", None, False),
        ("dog", Filter(all_tags=("sea",)), False),
        ("dog", None, True),
    ):
        with pytest.raises(CursorError, match="another query's"):
            library.search(text, 5, where, cursor=cursor, distinct=distinct)


def test_near_duplicates_stand_with_the_best_of_them(library: Library) -> None:
    dim = library.embedder.dim
    apart = [vector(seed, dim) for seed in range(12)]
    near = []
    for seed, own in enumerate(apart):
        other = own + 0.02 * vector(100 + seed, dim)
        near.append((other / np.linalg.norm(other)).astype(np.float32))
    put(library, [f"a{n}" for n in range(12)], apart)
    put(library, [f"b{n}" for n in range(12)], near)
    hits = library.search("dog rain", 24, distinct=True).hits
    assert len(hits) == 12
    assert all(len(hit.alike) == 1 for hit in hits)
    assert {hit.clip.id[1:] for hit in hits} == {hit.alike[0][1:] for hit in hits}
    assert len({hit.clip.id[1:] for hit in hits}) == 12
    plain = [hit.clip.id for hit in library.search("dog rain", 24).hits]
    order = list(dict.fromkeys(clip_id[1:] for clip_id in plain))
    assert [hit.clip.id[1:] for hit in hits] == order
    assert all(not hit.alike for hit in library.search("dog rain", 24).hits)
    paged = [clip_id for each in pages(library, "dog rain", 5, distinct=True) for clip_id in each]
    assert paged == [hit.clip.id for hit in hits]


def test_long_sounds_are_near_duplicates_only_where_all_their_windows_are(
    library: Library,
) -> None:
    """The vectors of all recordings of one forest are near: means of many windows."""
    dim = library.embedder.dim
    own = np.stack([vector(seed, dim) for seed in range(20)])
    windows = {
        "first": own,
        "copy": own + 0.01 * np.stack([vector(100 + seed, dim) for seed in range(20)]),
        "longer copy": np.concatenate([own, vector(7, dim)[None]]),
        "next hour": np.stack([vector(200 + seed, dim) for seed in range(20)]),
        "three hours": np.concatenate([own] * 3),
        "one window": np.zeros((0, dim)),
    }
    length = library.embedder.front_end.window_seconds
    with library.catalogue.write() as writer:
        for name, heard in windows.items():
            rows = (heard / np.linalg.norm(heard, axis=1, keepdims=True)).astype(np.float32)
            clip = new_clip(name, id=name, title=name, vector=vector(1, dim), windows=rows)
            starts = length * np.arange(len(rows))
            writer.put(replace(clip, starts=starts, duration=length * (len(rows) or 1)))
    hits = library.search_by_vector(vector(1, dim), 9, distinct=True).hits
    assert {hit.clip.id: hit.alike for hit in hits} == {
        "first": ("copy", "longer copy"),
        "next hour": (),
        "three hours": (),
        "one window": (),
    }


def test_each_hit_says_why(library: Library) -> None:
    put(library, [f"clip{number}" for number in range(20)])
    hits = library.search("dogs in the rain", 20).hits
    for hit in hits:
        held = {"dog", "rain"} & set(hit.clip.tags)
        assert set(hit.matched) == {{"dog": "dogs", "rain": "rain"}[word] for word in held}
        assert (hit.share == 1) == (len(held) == 2)
        assert (hit.share > 0) == bool(held) == (hit.word_rank is not None)
        assert hit.cosine is not None
        own = library.catalogue.vector(hit.clip.row)
        assert hit.cosine == pytest.approx(
            float(own @ library.embedder.embed_tags([["dog", "rain"]])[0]), abs=1e-5
        )
    # The rarer of the two words weighs more.
    shares = {frozenset(hit.matched): hit.share for hit in hits}
    counts = {word: sum(word in hit.clip.tags for hit in hits) for word in ("dog", "rain")}
    rarer, other = sorted(counts, key=counts.__getitem__)
    if counts[rarer] < counts[other]:
        asked = {"dog": "dogs", "rain": "rain"}
        assert shares[frozenset([asked[rarer]])] > shares[frozenset([asked[other]])]
