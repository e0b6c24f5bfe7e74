"""A text of any length costs no more than a long sentence: what the sentence encoder sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from earmark.index.search.query import QueryEncoder, parse
from earmark.index.types import SearchRequest
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.embedder import AudioEmbedding, Embedder, unit
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.tagging import suggest
from earmark.model.text.phrase import MAX_LETTERS
from earmark.model.text.thesaurus import load_thesaurus
from earmark.model.zero_shot import embed_labels
from tests.model.tiny import checkpoint_of, sentence_config

LETTERS = 10_000
LONG = {
    "one word": "bark" * (LETTERS // 4),
    "one letter each": " ".join("abcdefghijklmnopqrstuvwxyz" * (LETTERS // 52)),
    "many words": " ".join(f"word{number}" for number in range(LETTERS // 9)),
    "no spaces": "犬の声" * (LETTERS // 3),
    "nothing": "… " * (LETTERS // 2),
    "spaces": " " * LETTERS + "dog",
}


@pytest.fixture
def embedder() -> Embedder:
    return DualEmbedder(checkpoint_of(sentence_config()))


@pytest.fixture
def seen(embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the sentence encoder is given from here on."""
    encode, texts = embedder.words._encode, []
    assert len(embedder.vocabulary_vectors)  # encoded before

    def listed(phrases: Sequence[str]) -> np.ndarray:
        texts.extend(phrases)
        return encode(phrases)

    monkeypatch.setattr(embedder.words, "_encode", listed)
    return texts


def check(seen: list[str], sets: int = 1) -> None:
    """Of each set of texts no more was seen than two long sentences, in ten texts."""
    assert sum(map(len, seen)) <= sets * 2 * MAX_LETTERS
    assert all(len(text) <= MAX_LETTERS for text in seen)
    assert len(seen) <= sets * 10


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
class TestBounds:
    def test_query(self, embedder: Embedder, seen: list[str], text: str) -> None:
        QueryEncoder(embedder).encode([SearchRequest(parse(text))])
        check(seen)

    def test_unwanted_and_weighted_words(
        self, embedder: Embedder, seen: list[str], text: str
    ) -> None:
        words = text.split()
        queries = (" ".join(f"-{word}" for word in words), " ".join(f"{word}^2" for word in words))
        for query in queries:
            seen.clear()
            QueryEncoder(embedder).encode([SearchRequest(parse(query))])
            check(seen, sets=2)

    def test_label_and_prompt(self, embedder: Embedder, seen: list[str], text: str) -> None:
        embed_labels(embedder, {text: ["dog", text]})
        check(seen, sets=2)

    def test_known_tags(self, embedder: Embedder, seen: list[str], text: str) -> None:
        vectors = unit(np.ones((3, embedder.dim), np.float32))
        info = SoundInfo(1_000, 1, 2_000)
        sound = AudioEmbedding(vectors[0], vectors[0], vectors[1:], np.array([0.0, 1.0]), info)
        suggestion = suggest(embedder, sound, 3, [text, *text.split(), "rain"])
        check(seen)
        assert len(suggestion.known) <= embedder.max_tags

    def test_tags_of_a_clip(self, embedder: Embedder, seen: list[str], text: str) -> None:
        embedder.embed_tags([[text], ["dog", *text.split()]])
        assert sum(map(len, seen)) <= (1 + embedder.max_tags) * MAX_LETTERS
        assert len(seen) <= 1 + embedder.max_tags


def test_related_words_are_those_of_a_long_sentence(embedder: Embedder, seen: list[str]) -> None:
    words = "puppy downpour locomotive kettle drummer".split()
    (request,) = QueryEncoder(embedder).encode([SearchRequest(parse(" ".join(words * 400)))])
    entries = {other for word in words for other in load_thesaurus().related(word)}
    seen.clear()
    assert list(request.related.values())
    assert set(seen) <= entries | set(words)
    assert len(seen) == len(set(seen))
