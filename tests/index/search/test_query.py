"""Queries with unwanted and weighted words, and filters over the whole library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.index.library import Library
from earmark.index.search.query import MAX_WEIGHT, MIN_WEIGHT, embed, parse
from earmark.index.types import Filter, Query
from earmark.model.embedder import Embedder, unit
from earmark.model.encoders.dual import DualEmbedder
from tests.index.test_library import add, write
from tests.model.tiny import checkpoint_of, sentence_config, tiny_config

KINDS = "dog rain wind car bell bird song drum".split()


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return DualEmbedder(checkpoint_of(tiny_config()))


@pytest.fixture
def stocked(library: Library, tmp_path: Path) -> Library:
    """Sixteen sounds: each kind twice, one short and loud, one long and soft."""
    for number in range(16):
        loud = number < 8
        add(
            library,
            write(tmp_path / f"{number}.wav", seconds=0.5 if loud else 1.5, seed=number),
            title=f"A {KINDS[number % 8]} recording",
            tags=(KINDS[number % 8], "Loud" if loud else "soft"),
            licence="CC0-1.0" if number % 2 else "CC-BY-4.0",
            source="field",
        )
    return library


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("rain  thunder", Query("rain thunder", last="thunder")),
        ("rain thunder ", Query("rain thunder")),
        ("rain -wind", Query("rain", ("wind",))),
        ("-wind -hi-hat", Query("", ("wind", "hi-hat"))),
        ("hi-hat", Query("hi-hat", last="hi-hat")),
        ("rain^2 wind^0.5", Query("rain wind", (), {"rain": 2.0, "wind": 0.5})),
        ("rain^999 wind^0", Query("rain wind", (), {"rain": MAX_WEIGHT, "wind": MIN_WEIGHT})),
        ("- -- ^2 rain^x", Query("- -- ^2 rain^x", last="rain^x")),
        ("", Query("")),
    ],
)
def test_what_is_typed(text: str, query: Query) -> None:
    assert parse(text, typing=True) == query
    assert parse(text) == replace(query, last="")


@given(st.text(max_size=60))
def test_any_text_is_a_query(text: str) -> None:
    query = parse(text)
    assert sum(map(len, query.without)) + len(query.text) <= len(text)
    assert all(MIN_WEIGHT <= weight <= MAX_WEIGHT for weight in query.weights.values())


@pytest.fixture(scope="module")
def sentences() -> Embedder:
    return DualEmbedder(checkpoint_of(sentence_config()))


def vector(embedder: Embedder, text: str) -> np.ndarray | None:
    query = parse(text)
    (vector,) = embed(embedder, [query], [embedder.parse_tags(query.text)])
    return vector


def cosine(embedder: Embedder, text: str, tag: str) -> float:
    made = vector(embedder, text)
    assert made is not None
    assert np.linalg.norm(made) == pytest.approx(1, abs=1e-5)
    return float(made @ embedder.embed_tags([[tag]])[0])


def test_plain_words_are_one_set(embedder: Embedder) -> None:
    np.testing.assert_allclose(
        vector(embedder, "dog rain"), embedder.embed_tags([["dog", "rain"]])[0], atol=1e-6
    )
    np.testing.assert_allclose(
        vector(embedder, "dog^1 rain"), vector(embedder, "dog rain"), atol=1e-6
    )
    assert vector(embedder, "zzzqqqx") is None
    assert vector(embedder, "") is None


def test_weights_draw_and_unwanted_words_push(embedder: Embedder) -> None:
    plain = cosine(embedder, "dog rain", "dog")
    assert cosine(embedder, "dog^4 rain", "dog") > plain + 0.01
    assert cosine(embedder, "dog^0.1 rain", "dog") < plain
    assert cosine(embedder, "dog rain -wind", "wind") < cosine(embedder, "dog rain", "wind") - 0.1
    assert cosine(embedder, "-wind", "wind") == pytest.approx(-1, abs=1e-5)
    assert vector(embedder, "zzzqqqx -zzzqqqx") is None


def test_a_phrase_is_embedded_as_a_whole(sentences: Embedder) -> None:
    np.testing.assert_allclose(
        vector(sentences, "Ein Hund bellt"),
        sentences.embed_tags([["ein hund bellt"]])[0],
        atol=1e-6,
    )
    np.testing.assert_allclose(
        vector(sentences, "dog"), sentences.embed_tags([["dog"]])[0], atol=1e-6
    )
    assert vector(sentences, "xyzzy") is not None
    assert vector(sentences, "… !") is None
    queries = [parse("Hund bellt"), parse("-Wind"), parse("…"), parse("雨")]
    together = embed(sentences, queries, [sentences.parse_tags(query.text) for query in queries])
    for query, made in zip(("Hund bellt", "-Wind", "…", "雨"), together, strict=True):
        alone = vector(sentences, query)
        assert (made is None) == (alone is None)
        if made is not None:
            np.testing.assert_allclose(made, alone, atol=1e-6)


def test_weights_and_unwanted_words_of_a_phrase(sentences: Embedder) -> None:
    plain = cosine(sentences, "Hund Regen", "hund")
    assert cosine(sentences, "Hund^4 Regen", "hund") > plain + 0.01
    assert cosine(sentences, "Hund^0.1 Regen", "hund") < plain
    unwanted = sentences.embed_tags([["wind", "verkehr"]])[0]  # each of them, as a set
    before, after = (vector(sentences, text) for text in ("Hund", "Hund -Wind -Verkehr"))
    assert before is not None
    assert after is not None
    assert after @ unwanted < before @ unwanted - 0.1
    np.testing.assert_allclose(after, unit((before - 0.5 * unwanted)[None])[0], atol=1e-5)


def test_queries_share_one_batch_of_the_word_model(
    sentences: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[list[str]] = []
    encode = sentences.words._encode

    def counted(phrases: Sequence[str]) -> np.ndarray:
        batches.append(list(phrases))
        return encode(phrases)

    monkeypatch.setattr(sentences.words, "_encode", counted)
    queries = [parse("a steam train -whistle"), parse("heavy^3 hammer"), parse("Zug -Dampf")]
    embed(sentences, queries, [sentences.parse_tags(query.text) for query in queries])
    assert [sorted(batch) for batch in batches] == [
        ["a steam train", "dampf", "heavy", "heavy hammer", "whistle", "zug"]
    ]


def test_unwanted_tags_are_not_found(stocked: Library) -> None:
    found = stocked.search("recording -dog -Loud", 16)
    assert found.without == ("dog", "Loud")
    assert {hit.clip.tags[0] for hit in found.hits} == set(KINDS) - {"dog"}
    assert all("Loud" not in hit.clip.tags for hit in found.hits)
    everything = stocked.search("-dogs", 16)  # in its clean form too
    assert len(everything.hits) == 14


def test_words_are_compared_by_their_keys(library: Library, tmp_path: Path) -> None:
    named = {"A": ("Straße",), "B": ("Café",), "Nachts auf der STRASSE": ("wind",), "C": ()}
    for seed, (title, tags) in enumerate(named.items()):
        file = write(tmp_path / f"{seed}.wav", seed=seed)
        add(library, file, title=title, tags=tags, licence="CC0-1.0", source="Tön")

    def titles(text: str, **where: Sequence[str]) -> set[str]:
        return {hit.clip.title for hit in library.search(text, 9, Filter(**where)).hits}

    for text in ("straße", "STRASSE", "Strasse", "STRAẞE"):
        found = library.search(text).hits
        matching = {hit.clip.title for hit in found if hit.matched}
        assert matching == {"A", "Nachts auf der STRASSE"}, text
        assert titles("dog", all_tags=(text,)) == {"A"}
        assert titles(f"dog -{text}") == set(named) - {"A"}
    for text in ("café", "cafe\u0301", "CAFE\u0301"):
        assert titles("dog", any_tags=(text, "wind")) == {"B", "Nachts auf der STRASSE"}
        assert titles("dog", no_tags=(text,)) == titles(f"dog -{text}") == set(named) - {"B"}
    assert titles("dog", licences=("cc0-1.0",), sources=("TO\u0308N",)) == set(named)
    assert not titles("dog", sources=("ton",))


def test_filters_hold_for_vectors_and_words(stocked: Library) -> None:
    for where, count in (
        (Filter(), 16),
        (Filter(all_tags=("loud",)), 8),
        (Filter(any_tags=("dog", "rain")), 4),
        (Filter(all_tags=("soft", "dog")), 1),
        (Filter(min_duration=1.0), 8),
        (Filter(max_duration=1.0, licences=("CC0-1.0",)), 4),
        (Filter(sources=("studio",)), 0),
        (Filter(rows=(1, 2, 99)), 2),
    ):
        hits = stocked.search("dog recording", 16, where).hits
        assert len(hits) == count, where
        passing = set(stocked.store.passing(where).tolist())
        assert {hit.clip.row for hit in hits} <= passing
        if count == 16:
            assert hits[0].clip.tags[0] == "dog"
        first = stocked.catalogue.clip(hits[0].clip.id) if hits else None
        if first is not None:
            own = stocked.catalogue.vector(first.row)
            assert own is not None
            assert len(stocked.search_by_vector(own, 16, where).hits) == count
