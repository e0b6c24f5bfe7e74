"""Words that no clip holds: related words, right spellings and compounds stand for them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from earmark.index.lexical.expansion import CORRECTION_WEIGHT, RELATED_WEIGHT, RelatedWords
from earmark.index.lexical.stemming import stems
from earmark.index.library import Library
from earmark.index.types import Hit
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from earmark.model.text.sentence_vectors import SentenceVectors
from earmark.model.text.thesaurus import Thesaurus
from earmark.model.text.word_vectors import WordVectors
from earmark.service.demo import demo_sounds
from tests.index.made import new_clip
from tests.model.tiny import checkpoint_of, sentence_config

SOUNDS = 189  # of the demo library


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """The demo sounds' titles and tags, under vectors of no meaning: words alone find them."""
    folder = tmp_path_factory.mktemp("demo") / "library"
    embedder = load_embedder(starter_model())
    with (demo_sounds() / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    with Library.open(folder, embedder, create=True) as library:
        vectors = np.random.default_rng(0).standard_normal((len(rows), embedder.dim))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        with library.catalogue.write() as writer:
            for number, (row, vector) in enumerate(zip(rows, vectors, strict=True)):
                put(writer, embedder, row["path"], number, vector, row["title"], row["tags"])
        yield library


def put(writer, embedder, path, seed, vector, title, tags) -> None:
    own = vector.astype(np.float32)
    none = np.zeros((0, embedder.dim), np.float32)
    said = {"title": title, "tags": tuple(tags.split())}
    writer.put(new_clip(Path(path).stem, seed, vector=own, windows=none, **said))


def best_by_words(library: Library, asked: str) -> Hit:
    """The first of the word ranking; hearing weighs more than a related word."""
    (hit,) = (hit for hit in library.search(asked, SOUNDS).hits if hit.word_rank == 1)
    return hit


@pytest.mark.parametrize(
    ("asked", "holds"),
    [
        ("puppy", "dog"),
        ("downpour", "rain"),
        ("drummer", "drum"),
        ("kettle boiling", "boil"),
        ("locomotives", "locomot"),
        ("loud thunderstrom", "thunder"),
        ("thunderstorms", "thunder"),
        ("thunder-storm", "thunder"),
        ("doorbells", "bell"),
        ("barkng dog", "bark"),
    ],
)
def test_words_that_nobody_wrote_find(demo: Library, asked: str, holds: str) -> None:
    hit = best_by_words(demo, asked)
    assert hit.matched
    assert 0 < hit.share <= 1
    assert holds in stems(f"{hit.clip.metadata.title} {' '.join(hit.clip.metadata.tags)}")


def test_the_word_that_was_found_is_said(demo: Library) -> None:
    hit = best_by_words(demo, "puppy")
    assert hit.matched == ("dog",)
    assert hit.share < 1
    (hit,) = demo.search("barkng dog", 1).hits
    assert hit.matched == ("barking", "dog")
    assert [hit.matched for hit in demo.search("qwrtplk", 3).hits] == [(), (), ()]


def test_words_that_are_held_count_as_they_did(demo: Library) -> None:
    for asked in ("dog", "thunder storm"):
        (hit,) = demo.search(asked, 1).hits
        assert hit.share == pytest.approx(1, abs=1e-3)
        assert hit.matched == tuple(asked.split())
    whole = demo.store.weights(tuple(stems("rain thunder")))
    text = RelatedWords(
        "rain thunder", stems("rain thunder"), demo.embedder.words, Thesaurus.from_weights({})
    )
    assert demo.store.weights(tuple(stems("rain thunder")), text) == whole


def test_pages_hold_each_clip_once(demo: Library) -> None:
    found, cursor = [], ""
    for _ in range(4):
        page = demo.search("puppy kettle", 7, cursor=cursor)
        found += [hit.clip.id for hit in page.hits]
        cursor = page.next
    assert len(found) == len(set(found)) == 28
    assert found[:7] == [hit.clip.id for hit in demo.search("puppy kettle", 7).hits]


def test_a_related_word_stands_back_for_the_word_itself(library: Library) -> None:
    with library.catalogue.write() as writer:
        for number, title in enumerate(("rain dog", "rain puppy", "rain dog dog hound")):
            put(writer, library.embedder, f"{number}.wav", number, unit(number, library), title, "")
    found = library.search("puppy rain", 3).hits
    assert [(hit.clip.metadata.title, hit.matched) for hit in found[:1]] == [
        ("rain puppy", ("puppy", "rain"))
    ]
    assert {hit.matched for hit in found[1:]} == {("rain",)}
    library.remove([found[0].clip.id])
    left = library.search("puppy rain", 3).hits
    assert {hit.matched for hit in left} == {("dog", "rain")}
    assert all(0.5 < hit.share < 1 for hit in left)
    assert library.search("puppy", 3).hits[0].matched == ("dog",)
    # What is not wanted is meant as it is written.
    assert len(library.search("rain -puppy", 3).hits) == 2


def unit(seed: int, library: Library) -> np.ndarray:
    own = np.random.default_rng(seed).standard_normal(library.embedder.dim)
    return own / np.linalg.norm(own)


WORDS = "rain storm rainstorm dog hound cat barking banking".split()


@pytest.fixture(scope="module")
def known() -> WordVectors:
    vectors = np.random.default_rng(0).standard_normal((len(WORDS), 8)).astype(np.float32)
    vectors[WORDS.index("hound")] = vectors[WORDS.index("dog")]
    return WordVectors(WORDS, vectors)


def standing(text: str, known: WordVectors, related: dict[str, dict[str, float]]) -> RelatedWords:
    return RelatedWords(text, stems(text), known, Thesaurus.from_weights(related))


def test_words_written_of_alike_count_for_more(known: WordVectors) -> None:
    related = standing("dog", known, {"dog": {"hound": 0.5, "storm": 0.5, "hot-dog": 0.9}})["dog"]
    weights = {each.word: each.weight for each in related}
    assert weights["hound"] == pytest.approx(0.5 * RELATED_WEIGHT)
    assert 0.2 <= weights["storm"] / weights["hound"] < 0.8
    assert "hot-dog" not in weights
    assert [each.weight for each in related] == sorted(weights.values(), reverse=True)


def test_misspelt_words_are_what_they_are_taken_for(known: WordVectors) -> None:
    found = standing("rainstrom", known, {"rainstorm": {"rain": 0.9}})["rainstrom"]
    assert (found[0].word, found[0].weight) == ("rainstorm", CORRECTION_WEIGHT)
    assert "rain" in [each.word for each in found]
    assert [each.word for each in standing("barkng", known, {})["barkng"]] == ["barking"]
    assert standing("brkng", known, {})["brkng"] == ()


def test_two_words_are_also_one(known: WordVectors) -> None:
    for text in ("rain storm", "rain-storm", "a rain storm"):
        found = standing(text, known, {})
        assert list(found) == ["rain", "storm", "rainstorm"]
        assert found["rainstorm"][0].word == "rainstorm"
    assert list(standing("storm rain", known, {})) == ["storm", "rain"]
    assert list(standing("hot dogs", known, {})) == ["hot", "dog"]
    assert "hotdog" in standing("hot dogs", known, {"hotdog": {"food": 0.5}})


ENGLISH = "rain storm rainstorm dog puppy bark barking bell belt guitar acoustic".split()


@pytest.fixture(scope="module")
def english() -> SentenceVectors:
    return SentenceVectors(ENGLISH)


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        ("Hund bellt", "bellt", []),
        ("bellt", "bellt", []),
        ("der Hund bellt im Garten", "bellt", []),
        ("dog bellt", "bellt", ["bell", "belt"]),
        ("a dog barkng", "barkng", ["barking"]),
        ("acoustic gutar", "gutar", ["guitar"]),
        ("rainstrom", "rainstrom", []),
        ("dog rainstrom", "rainstrom", ["rainstorm"]),
        ("dogs rainstorms", "rainstorms", []),
        ("Hund dogbark", "dogbark", []),
        ("dog dogbark", "dogbark", ["bark", "dog"]),
    ],
)
def test_spellings_are_guessed_only_in_a_text_that_looks_english(
    english: SentenceVectors, text: str, word: str, found: list[str]
) -> None:
    (related,) = [
        others for stem, others in standing(text, english, {}).items() if stem in stems(word)
    ]
    assert sorted(other.word for other in related) == found


def test_a_word_of_the_thesaurus_is_not_taken_for_another(english: SentenceVectors) -> None:
    found = standing("dog dogbarks", english, {"dogbark": {"loud": 0.5}})["dogbark"]
    assert [each.word for each in found] == ["loud"]


def test_entries_count_by_the_cosines_of_phrases_in_one_batch(
    english: SentenceVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[list[str]] = []
    encode = english._encode

    def counted(phrases: Sequence[str]) -> np.ndarray:
        batches.append(list(phrases))
        return encode(phrases)

    monkeypatch.setattr(english, "_encode", counted)
    entries = {"dog": 0.8, "hound": 0.8, "wind": 0.8}
    related = standing("puppies", english, {"puppy": entries})["puppi"]
    assert [sorted(batch) for batch in batches] == [sorted(["puppies", "puppy", *entries])]
    weights = {each.word: each.weight for each in related}
    for word, weight in entries.items():
        cosine = max(0.0, english.cosine("puppy", word))
        expected = RELATED_WEIGHT * weight * (0.2 + 0.8 * cosine)
        assert weights[word] == pytest.approx(expected, abs=1e-5)
    assert weights["dog"] > weights["wind"]


def test_words_of_another_language_find_no_english_word_that_looks_alike(tmp_path: Path) -> None:
    checkpoint = checkpoint_of(sentence_config())
    checkpoint.words = SentenceVectors(ENGLISH)
    embedder = DualEmbedder(checkpoint)
    with Library.open(tmp_path / "library", embedder, create=True) as library:
        with library.catalogue.write() as writer:
            for number, title in enumerate(("bell", "Hund", "dog barking")):
                own = unit(number, library)
                put(writer, embedder, f"{number}.wav", number, own, title, "")
        matched = {
            asked: [(hit.clip.metadata.title, hit.matched) for hit in hits if hit.matched]
            for asked in ("Hund bellt", "bellt", "barkng dog")
            for hits in [library.search(asked, 3).hits]
        }
    assert matched == {
        "Hund bellt": [("Hund", ("hund",))],
        "bellt": [],
        "barkng dog": [("dog barking", ("barking", "dog"))],
    }
