"""How probable hits are: from the model's card to pages, their order and their cursors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from earmark.index.errors import CursorError
from earmark.index.library import Library
from earmark.index.search.confidence import Judge, JudgedSearch, known_share
from earmark.index.search.fusion import FusedHit
from earmark.index.search.query import QueryEncoder, parse
from earmark.index.stores.factory import catch_up
from earmark.index.stores.faiss.store import FaissStore
from earmark.index.types import Candidates, Filter, SearchRequest
from earmark.model import checkpoint
from earmark.model.core.arrays import Array
from earmark.model.embedder import Embedder
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.relevance import RelevanceCurve
from tests.index import made

COSINES = {"Loud noise": 0.9, "B": 0.3, "A": -0.5, "Dog far away": -0.4}
WORDS = {"cosine": 10, "standard": 0, "size": 0, "intercept": -5, "words": [4, 0, 0, 0]}
SOUNDS = {**WORDS, "intercept": -8, "words": [0, 0, 0, 0]}


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


@pytest.fixture(scope="module")
def judging(model_folder: Path) -> Embedder:
    """The tiny model with a card that states curves."""
    loaded = checkpoint.load(model_folder)
    curves = {"words": {**WORDS, "clips": [10, 1000]}, "sounds": {**SOUNDS, "clips": [10, 1000]}}
    loaded.card["relevance"] = curves
    return DualEmbedder(loaded)


@pytest.fixture
def stocked(tmp_path: Path, judging: Embedder) -> Iterator[Library]:
    """Four clips of known cosines with "dog"; one title holds the word."""
    with Library.open(tmp_path / "library", judging, create=True) as library:
        put(library, COSINES)
        yield library


def put(library: Library, cosines: dict[str, float]) -> None:
    query = library.embedder.embed_tags([["dog"]])[0]
    with library.catalogue.write() as writer:
        for seed, (title, cosine) in enumerate(cosines.items(), 1):
            vector = lying_at(query, cosine, seed)
            none = np.zeros((0, len(query)), np.float32)
            clip = made.new_clip(title, seed, title=title, tags=(), vector=vector, windows=none)
            writer.put(clip)


def lying_at(query: Array, cosine: float, seed: int) -> Array:
    """A unit vector of this cosine with the query."""
    other = made.vector(seed, len(query))
    other = other - (other @ query) * query
    other /= np.linalg.norm(other)
    return (cosine * query + math.sqrt(1 - cosine**2) * other).astype(np.float32)


def request(library: Library, text: str, **fields: object) -> SearchRequest:
    return SearchRequest(parse(text), **fields)  # type: ignore[arg-type]


def test_hits_say_how_probable_they_are(stocked: Library) -> None:
    page = stocked.search("dog")
    found = {hit.clip.title: hit for hit in page.hits}
    expected = {"Loud noise": 4, "B": -2, "A": -10, "Dog far away": -5}
    for title, logit in expected.items():
        assert found[title].probability == pytest.approx(sigmoid(logit), rel=1e-3)
    assert found["Loud noise"].confidence == "sure"
    assert found["B"].confidence == "maybe"
    assert {found["A"].confidence, found["Dog far away"].confidence} == {"unlikely"}
    assert page.sure == 1


def test_searches_by_sound_have_their_own_curve(stocked: Library) -> None:
    page = stocked.search_by_vector(stocked.embedder.embed_tags([["dog"]])[0])
    assert page.hits[0].probability == pytest.approx(sigmoid(1), rel=1e-3)
    assert (page.hits[0].confidence, page.sure) == ("sure", 1)
    best = page.hits[0].clip.id
    assert len(stocked.search_by_clip(best).hits) == 3
    assert stocked.search_by_clip(best, min_probability=0.9).hits == []


@pytest.mark.parametrize(
    ("sort", "titles"),
    [
        ("title", ["B", "Dog far away", "Loud noise"]),
        ("oldest", ["Loud noise", "B", "Dog far away"]),
    ],
)
def test_other_orders_leave_out_what_is_unlikely_unless_it_holds_the_words(
    stocked: Library, sort: str, titles: list[str]
) -> None:
    [page] = stocked.search_batch([request(stocked, "dog", sort=sort)])
    assert not isinstance(page, CursorError)
    assert [hit.clip.title for hit in page.hits] == titles
    [page] = stocked.search_batch([request(stocked, "dog", sort=sort, min_probability=0.01)])
    assert not isinstance(page, CursorError)
    assert [hit.clip.title for hit in page.hits] == [
        title for title in titles if title != "Dog far away"
    ]


def test_a_least_probability_holds_over_pages_and_binds_cursors(stocked: Library) -> None:
    put(stocked, {f"More {number}": 0.3 + number / 100 for number in range(10)})
    seen, cursor = [], ""
    while True:
        page = stocked.search("dog", 3, cursor=cursor, min_probability=0.1)
        seen += page.hits
        assert page.sure == 1
        cursor = page.next
        if not cursor:
            break
    assert len({hit.clip.id for hit in seen}) == len(seen) == 12
    assert min(hit.probability or 0 for hit in seen) >= 0.1
    first = stocked.search("dog", 3, min_probability=0.1)
    for other in (0.0, 0.2):
        with pytest.raises(CursorError, match="another query's"):
            stocked.search("dog", 3, cursor=first.next, min_probability=other)
    assert stocked.search("dog", min_probability=1).hits == []
    short = Filter(max_duration=0.5)
    assert stocked.search("dog", where=short).sure == 0


def test_nothing_is_said_where_there_is_nothing_to_judge_by(
    stocked: Library, tmp_path: Path, embedder: Embedder
) -> None:
    for text in ("-dog", "zzzqqq away"):
        page = stocked.search(text, min_probability=0.9)
        assert page.hits
        assert page.sure is None
        assert {(hit.probability, hit.confidence) for hit in page.hits} == {(None, None)}
    with Library.open(tmp_path / "plain", embedder, create=True) as plain:
        put(plain, COSINES)
        [page] = plain.search_batch([request(plain, "dog", sort="title", min_probability=0.9)])
        assert not isinstance(page, CursorError)
        assert [hit.clip.title for hit in page.hits] == sorted(COSINES)
        assert (page.sure, page.hits[0].probability) == (None, None)


def test_words_that_no_clip_holds_count_as_missing(stocked: Library) -> None:
    """A share is one of the words that any clip holds: of "dog glass" it holds half."""
    [encoded] = QueryEncoder(stocked.embedder).encode([request(stocked, "dog glass")])
    stocked.refresh()
    assert known_share(encoded, stocked.store.weights(tuple(encoded.stems))) == 0.5
    page = stocked.search("dog glass")
    hit = next(hit for hit in page.hits if hit.matched)
    assert hit.share == pytest.approx(1)
    assert hit.cosine is not None
    assert hit.probability == pytest.approx(sigmoid(10 * hit.cosine - 5 + 4 * 0.5), rel=1e-3)


def test_inverted_lists_count_as_many_sure_ones(stocked: Library) -> None:
    """Those that hold the words, too, beyond the nearest."""
    put(stocked, {f"Dog {number}": 0.2 for number in range(20)})
    put(stocked, {f"Near {number}": 0.8 for number in range(400)})
    query = stocked.embedder.dim
    flat = FaissStore(stocked.catalogue.meta("library"), query)
    lists = FaissStore(stocked.catalogue.meta("library"), query, max_flat=50, max_recent=50)
    catch_up(flat, stocked.catalogue)
    catch_up(lists, stocked.catalogue)
    assert "inverted lists" in lists.description()
    sure = []
    for stocked.store in (flat, lists):
        page = stocked.search("dog", 3)
        sure.append(page.sure)
    assert sure == [120, 120]


def test_hits_of_a_larger_pool_are_judged_by_their_cosines() -> None:
    curve = RelevanceCurve(10, 0, 0, -5, (4, 0, 0, 0), (10, 1_000))
    asked = SearchRequest(
        parse("dog"), sort="title", vector=made.vector(0), stems={"dog": "dog"},
        understood=None, level=(0.0, 0.1),
    )  # fmt: skip
    found = Candidates(
        np.array([1, 2]),
        np.array([0.9, 0.2], np.float32),
        np.array([2, 3]),
        np.array([1.0, 0.4], np.float32),
        np.array([0.2, 0.1], np.float32),
        {"dog": 1.0},
    )
    judged = JudgedSearch(Judge(curve, curve), asked, found, 100)
    assert judged.sure == 2
    pairs = ((1, 0), (2, 1), (3, 0.4), (4, 0))
    hits = [FusedHit(row, 1.0, None, None, share) for row, share in pairs]
    cosines = {1: 0.9, 2: 0.2, 3: 0.1, 4: 0.05}
    expected = [sigmoid(4), sigmoid(1), sigmoid(-4 + 1.6), sigmoid(-4.5)]
    assert judged.probabilities(hits, cosines) == pytest.approx(expected, rel=1e-6)
    assert judged.probabilities(hits[:3], cosines) == pytest.approx(expected[:3], rel=1e-6)
    assert judged.select(hits, cosines) == hits[:3]


def test_in_inverted_lists_no_hit_is_less_probable_than_asked(stocked: Library) -> None:
    """Nor one that holds the words, of clips far from the query."""
    query = stocked.embedder.embed_tags([["dog"]])[0]
    none = np.zeros((0, len(query)), np.float32)
    with stocked.catalogue.write() as writer:
        for seed in range(10, 410):
            title, cosine = (f"Dog {seed}", -0.9) if seed % 2 else (f"Loud {seed}", 0.8)
            vector = lying_at(query, cosine, seed)
            writer.put(
                made.new_clip(title, seed, title=title, vector=vector, tags=(), windows=none)
            )
    flat = FaissStore(stocked.catalogue.meta("library"), len(query))
    lists = FaissStore(stocked.catalogue.meta("library"), len(query), max_flat=50, max_recent=50)
    for store in (flat, lists):
        catch_up(store, stocked.catalogue)
        stocked.store = store
        hits = stocked.search("dog", 50, min_probability=0.5).hits
        assert all(hit.probability and hit.probability >= 0.5 for hit in hits)
        assert {hit.clip.title.split()[0] for hit in hits} == {"Loud"}
        assert len(hits) == 50
    assert "inverted lists" in lists.description()
