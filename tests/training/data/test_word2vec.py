"""Word vectors trained on tags, and general ones read from files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from earmark.model.checkpoint import save
from earmark.model.core.errors import WordsError
from earmark.model.model_files import FILE_NAME
from earmark.training.data.word2vec import load_words, train_word2vec
from tests.model.tiny import WORDS, checkpoint_of, tiny_config

TAG_SETS = [["rain", "storm", "water"], ["dog", "bark"], ["dog", "animal", "bark"]] * 30


@pytest.mark.parametrize("kind", ["cbow", "fasttext"])
def test_a_seed_gives_the_same_vectors(kind: str) -> None:
    one, again = (train_word2vec(TAG_SETS, 8, kind=kind, seed=3) for _ in range(2))
    assert one.words == again.words
    np.testing.assert_array_equal(one.vectors, again.vectors)
    other = train_word2vec(TAG_SETS, 8, kind=kind, seed=4)
    assert np.abs(other.vectors - one.vectors).max() > 1e-3


def test_every_tag_gets_a_vector_frequent_first() -> None:
    words = train_word2vec([*TAG_SETS, ["once"]], 8)
    assert set(words.words) == {tag for tags in TAG_SETS for tag in tags} | {"once"}
    assert set(words.words[:2]) == {"dog", "bark"}
    assert words.words[-1] == "once"
    assert words.vectors.shape == (7, 8)
    assert words.vectors.dtype == np.float32


def test_tags_of_a_topic_are_neighbours() -> None:
    generator = np.random.default_rng(0)
    draws = [
        (topic, generator.choice(10, 4, replace=False)) for topic in range(4) for _ in "x" * 300
    ]
    words = train_word2vec([[f"{topic} {tag}" for tag in tags] for topic, tags in draws], 16)
    vectors = words.vectors - words.vectors.mean(axis=0)  # without what all have in common
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    topics = np.array([word[0] for word in words.words])
    same = topics[:, None] == topics
    cosines = vectors @ vectors.T
    assert cosines[same].mean() > cosines[~same].mean() + 0.3


def test_fasttext_knows_unknown_words_and_cbow_does_not() -> None:
    assert train_word2vec(TAG_SETS, 8, kind="fasttext").vector("barking") is not None
    assert train_word2vec(TAG_SETS, 8).vector("barking") is None


@pytest.mark.parametrize("tag_sets", [[], [[], []]])
def test_refuses_no_tags(tag_sets: list[list[str]]) -> None:
    with pytest.raises(WordsError, match="tag_sets: expected at least one tag, got none"):
        train_word2vec(tag_sets, 8)


FILE_WORDS = ["rain", "Dog", "wind", "x9", "storm", "a", "q", "well-known", "tree"]
KEPT = ["rain", "wind", "storm", "a", "q", "tree"]
VECTORS = np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32)


def check(path: Path) -> None:
    words = load_words(path)
    assert words.words == KEPT
    rows = [FILE_WORDS.index(word) for word in KEPT]
    np.testing.assert_allclose(words.vectors, VECTORS[rows], rtol=1e-5)
    assert words.vectors.dtype == np.float32


@pytest.mark.parametrize("name", ["v.txt", "v.vec", "v.bin"])
def test_word2vec_files(tmp_path: Path, name: str) -> None:
    keyed = KeyedVectors(4)
    keyed.add_vectors(FILE_WORDS, VECTORS)
    keyed.save_word2vec_format(
        str(tmp_path / name), binary=name.endswith("bin"), sort_attr="nothing"
    )
    check(tmp_path / name)


def test_wink_json(tmp_path: Path) -> None:
    vectors = {word: [*map(float, VECTORS[row]), 1.0, row] for row, word in enumerate(FILE_WORDS)}
    data = {"dimensions": 4, "words": FILE_WORDS, "vectors": vectors}
    (tmp_path / "wink.json").write_text(json.dumps(data))
    check(tmp_path / "wink.json")


def test_the_words_of_a_model(tmp_path: Path) -> None:
    checkpoint = checkpoint_of(tiny_config())
    save(tmp_path, checkpoint)
    for path in (tmp_path, tmp_path / FILE_NAME):
        words = load_words(path)
        assert words.words == WORDS
        np.testing.assert_array_equal(words.vectors, checkpoint.words.vectors)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("v.txt", b"not a header\n", "cannot be read"),
        ("v.txt", b"3 4\nrain 1 2 3 4\n", "cannot be read"),
        ("v.txt", b"1 4\nrain 1 two 3 4\n", "cannot be read"),
        ("v.txt", b"", "cannot be read"),
        ("v.bin", b"2 4\nrain \x00\x00", "cannot be read"),
        ("v.bin", b"\xff\xfe\x00", "cannot be read"),
        ("v.json", b"{", "cannot be read"),
        ("v.json", b"[1, 2]", "cannot be read"),
        ("v.json", b'{"dimensions": 2, "words": ["a"], "vectors": {}}', "cannot be read"),
        ("v.json", b'{"dimensions": 2, "words": ["a"], "vectors": 3}', "cannot be read"),
        ("v.safetensors", b"xx", "cannot be read .*truncated or not a model file"),
        ("v.kv", b"\x80\x04", r"expected \.txt, \.vec or \.bin .* or a model, got .*v\.kv"),
        ("v.model", b"\x80\x04", r"expected \.txt, \.vec or \.bin"),
        ("v.pkl", b"\x80\x04", r"expected \.txt, \.vec or \.bin"),
    ],
)
def test_refuses(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WordsError, match=message):
        load_words(tmp_path / name)


def test_refuses_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WordsError, match="no such file"):
        load_words(tmp_path / "none.txt")
    with pytest.raises(WordsError, match=r"cannot be read .*expected a model file"):
        load_words(tmp_path)
