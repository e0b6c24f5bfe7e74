"""Word vectors: from the word itself to its farthest stand-in, and None in the end."""

from __future__ import annotations

import numpy as np
import pytest
from gensim.models import FastText
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.core.errors import WordsError
from earmark.model.text.word_vectors import MIN_CORRECTED, Subwords, WordVectors

KNOWN = (
    "rain dog wind thunder footstep bird song bass drum helicopter door bell wave box glass "
    "hihat fire work firework man leaf guitar steps"
).split()


@pytest.fixture(scope="module")
def words() -> WordVectors:
    vectors = np.random.default_rng(0).standard_normal((len(KNOWN), 6)).astype(np.float32)
    return WordVectors(KNOWN, vectors)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("rain", ("rain",)),
        ("dogs", ("dog",)),
        ("boxes", ("box",)),
        ("leaves", ("leaf",)),
        ("men", ("man",)),
        ("steps", ("steps",)),  # itself before its singular
        ("bass-drum", ("bass", "drum")),
        ("drum-drum", ("drum",)),
        ("hi-hat", ("hihat",)),
        ("rain-xyzzy", ("rain",)),
        ("thunnder", ("thunder",)),
        ("thudner", ("thunder",)),  # two neighbours swapped are one edit
        ("guittar", ("guitar",)),
        ("hellicoptr", ("helicopter",)),  # two edits, for long words
        ("birdsong", ("bird", "song")),
        ("birdsongs", ("bird", "song")),
        ("doorbell", ("door", "bell")),
        ("firework", ("firework",)),
        ("fireworks", ("firework",)),
    ],
)
def test_what_stands_for_a_word(words: WordVectors, word: str, expected: tuple[str, ...]) -> None:
    assert words.resolve(word) == expected
    vector = words.vector(word)
    rows = [KNOWN.index(word) for word in expected]
    np.testing.assert_allclose(vector, words.vectors[rows].mean(axis=0), rtol=1e-6)
    assert vector.dtype == np.float32
    assert vector.shape == (6,)


@pytest.mark.parametrize(
    "word", ["xyzzy", "gdo", "ran", "r2d2", "", "-", "--", "q" * 10_000, "дождь", "雨", "thxxder"]
)
def test_unknown_words_are_none(words: WordVectors, word: str) -> None:
    assert words.resolve(word) == ()
    assert words.vector(word) is None


def test_short_words_have_no_misspellings(words: WordVectors) -> None:
    assert all(len(word) < MIN_CORRECTED for word in ("rein", "rxin"))
    assert words.vector("rein") is None


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=40), st.text("adginorstuw-", max_size=20)))
def test_any_word_is_known_or_none(words: WordVectors, word: str) -> None:
    resolved = words.resolve(word)
    assert all(word in words for word in resolved)
    vector = words.vector(word)
    assert (vector is None) == (not resolved)
    assert vector is None or np.isfinite(vector).all()


def test_the_frequent_spelling_wins() -> None:
    eye = np.eye(2, dtype=np.float32)
    assert WordVectors(["winding", "winning"], eye).resolve("winking") == ("winding",)
    assert WordVectors(["winning", "winding"], eye).resolve("winking") == ("winning",)
    nearer = WordVectors(["marinate", "marinade"], eye)
    assert nearer.resolve("marinadde") == ("marinade",)  # one edit, not two
    lengths = WordVectors(["stormed", "storm", "stork", "stormy"], np.eye(4, dtype=np.float32))
    assert lengths.spellings("storme") == ["stormed", "storm", "stormy"]


def test_the_most_even_split_wins() -> None:
    parts = ["car", "door", "card", "oor"]
    words = WordVectors(parts, np.eye(4, dtype=np.float32))
    assert words.resolve("cardoor") in (("car", "door"), ("card", "oor"))
    many = ["sun", "sunflower", "flower", "bed", "flowerbed"]
    words = WordVectors(many, np.eye(5, dtype=np.float32))
    assert words.resolve("sunflowerbed") == ("sun", "flowerbed") or words.resolve(
        "sunflowerbed"
    ) == ("sunflower", "bed")


def test_fasttext_subwords_give_every_word_a_vector() -> None:
    sentences = [["rain", "water", "storm"], ["dog", "bark", "animal"]] * 20
    model = FastText(sentences, vector_size=8, min_count=1, bucket=500, seed=1, workers=1)
    words = WordVectors.from_gensim(model.wv)
    assert words.subwords is not None
    np.testing.assert_allclose(words.vector("rain"), model.wv["rain"], rtol=1e-5)
    for unknown in ("rainy", "barking", "thunnder"):
        assert unknown not in words
        np.testing.assert_allclose(words.vector(unknown), model.wv[unknown], rtol=1e-4, atol=1e-7)


def test_a_word_without_subwords_is_zero() -> None:
    subwords = Subwords(np.ones((10, 3), np.float32), min_n=5, max_n=6)
    assert subwords.vector("a").tolist() == [0, 0, 0]
    assert subwords.vector("abcdef").tolist() == [1, 1, 1]


def test_one_hot() -> None:
    words = WordVectors.one_hot(["rain", "dog", "wind"])
    assert words.dim == len(words) == 3
    assert words.vector("dog").tolist() == [0, 1, 0]
    assert words.vector("cat") is None


def test_keep_the_most_frequent_and_some_more(words: WordVectors) -> None:
    reduced = words.keep(3, also=["guitar", "bell", "dog", "unheard"])
    assert reduced.words == ["rain", "dog", "wind", "bell", "guitar"]
    for word in reduced.words:
        np.testing.assert_array_equal(reduced.vector(word), words.vector(word))
    assert reduced.vector("wave") is None
    assert words.keep(0).words == []
    assert words.keep(10_000).words == KNOWN


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(WordsError, match=r"one row for each of 2 words, got the shape \[3, 4\]"):
        WordVectors(["a", "b"], np.zeros((3, 4), np.float32))
    with pytest.raises(WordsError, match=r"got the shape \[2\]"):
        WordVectors(["a", "b"], np.zeros(2, np.float32))
    with pytest.raises(WordsError, match="each word once, got repeats"):
        WordVectors(["a", "a"], np.zeros((2, 4), np.float32))


def test_membership_and_length(words: WordVectors) -> None:
    assert "rain" in words
    assert "rains" not in words
    assert 3 not in words
    assert len(words) == len(KNOWN)


def test_short_words_are_not_guessed_and_guesses_are_told(words: WordVectors) -> None:
    assert words.resolve("gutar") == ()  # five letters have too many neighbours
    assert words.guess("guittar") == "guitar"
    assert words.guess("doorbell") == "door bell"
    for plain in ("rain", "dogs", "bass-drum", "hi-hat", "xyzzy"):
        assert words.guess(plain) == ""


def test_no_word_is_split_into_stop_words() -> None:
    vectors = WordVectors(["there", "min", "door"], np.eye(3, dtype=np.float32))
    assert vectors.resolve("theremin") == ()
    assert vectors.resolve("mindoor") == ("min", "door")


def test_words_near_to_a_word() -> None:
    vectors = np.array([[1, 0], [2, 0.2], [0, 3], [1, 1], [-1, 0]], dtype=np.float32)
    words = WordVectors(["dog", "hound", "rain", "wet", "cat"], vectors)
    assert words.cosine("dog", "wet") == pytest.approx(0.5**0.5)
    assert words.cosine("dog", "xyzzy") == 0
    near = words.near("dogs", 2, 0.5)
    assert list(near) == ["hound", "wet"]
    assert near["wet"] == pytest.approx(0.5**0.5)
    assert list(words.near("dog", 10, 0.9)) == ["hound"]
    assert words.near("xyzzy", 10, -1) == {}


def test_spellings_that_a_short_word_may_stand_for(words: WordVectors) -> None:
    assert words.spellings("gutar") == ["guitar"]
    assert words.spellings("guitar") == words.spellings("guittar") == []  # known, guessed
    assert words.spellings("ran") == []
    assert words.spellings("xgutar") == []
