"""Phrases in sixteen languages: the files agree, and draws say what they should."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from earmark.model.text.sentence_vectors import SentenceVectors
from earmark.training import phrases as folder
from earmark.training.data.phrases import (
    CLASSES,
    LANGUAGES,
    ConceptPhrases,
    associations,
    audioset_classes,
    phrases_of,
    phrases_of_concepts,
    suggested_words,
)
from tests.training import tiny

FOLDER = Path(folder.__file__).parent


@pytest.fixture(scope="module")
def concepts() -> ConceptPhrases:
    """Four concepts; nobody wrote a phrase for the last one."""
    return ConceptPhrases(["Dog", "rain", "Siren", "xyzzy"], tiny.sentences())


def rows_of(language: str) -> list[dict[str, str]]:
    with (FOLDER / f"{language}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# The files


def test_a_file_for_each_language() -> None:
    assert {path.stem for path in FOLDER.glob("*.csv")} == {*LANGUAGES, "associations"}
    assert len(LANGUAGES) == 16
    assert LANGUAGES[0] == "en"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_concepts_in_the_same_order(language: str) -> None:
    rows = rows_of(language)
    names = [row["concept"] for row in rows]
    assert names == list(phrases_of_concepts())
    assert [name for name, count in Counter(names).items() if count > 1] == []
    for row in rows[:CLASSES]:
        assert row["phrases"].strip(), row["concept"]
    for row in rows:
        phrases = row["phrases"].split("; ") if row["phrases"] else []
        assert all(phrase and phrase == phrase.strip() for phrase in phrases), row
        assert len(phrases) == len(set(phrases)), row


def test_the_classes_come_first() -> None:
    names = audioset_classes()
    assert len(names) == CLASSES
    assert (names[0], names[-1]) == ("Speech", "Field recording")
    assert not any(name[0].isupper() for name in list(phrases_of_concepts())[CLASSES:])


def test_the_classes_are_those_of_the_teacher(shared: Path) -> None:
    file = shared / "teachers" / "audioset_classes.csv"
    with file.open(newline="", encoding="utf-8") as lines:
        rows = sorted(csv.DictReader(lines), key=lambda row: int(row["index"]))
    assert [row["display_name"] for row in rows] == audioset_classes()


def test_suggested_words() -> None:
    words = suggested_words()
    assert words == sorted(set(words))
    assert all(word == word.lower() and word.replace("-", "").isalpha() for word in words)
    assert {"rain", "dog", "thunder"} <= set(words)


def test_a_tag_that_is_a_class_has_its_phrases() -> None:
    said = phrases_of_concepts()
    assert phrases_of("dog") is phrases_of("Dog") is said["Dog"]
    assert phrases_of("male-speech") is said["Male speech, man speaking"]
    assert phrases_of("weapon") is said["weapon"]
    assert phrases_of("man speaking") == {}


# Phrases of some concepts


def test_rows_of_concepts(concepts: ConceptPhrases) -> None:
    assert len(concepts) == 4
    assert [concepts.texts[row] for row in concepts.first] == ["Dog", "rain", "Siren", "xyzzy"]
    assert concepts.vectors.shape == (len(concepts.texts), 512)
    assert concepts.concept_of.shape == (len(concepts.texts),)
    assert (np.diff(concepts.concept_of) >= 0).all()
    for number, name in enumerate(["Dog", "rain", "Siren"]):
        texts = {concepts.texts[row] for row in np.flatnonzero(concepts.concept_of == number)}
        said = {text for phrases in phrases_of(name).values() for text in phrases}
        assert texts == {name, *said, *associations().get(name, ())}
        literal = {concepts.texts[row] for row in rows_of_concept(concepts, number)}
        assert literal == {name, *said}
    assert (concepts.concept_of == 3).sum() == 1
    row = concepts.first[1]
    alone = SentenceVectors([]).vector("rain")
    np.testing.assert_allclose(concepts.vectors[row], alone, atol=1e-5)


def rows_of_concept(concepts: ConceptPhrases, number: int) -> np.ndarray:
    """Rows of its phrases that say it, without what only makes think of it."""
    return np.flatnonzero((concepts.concept_of == number) & concepts.literal)


def drawn(concepts: ConceptPhrases, translated: float, paraphrased: float) -> list[list[str]]:
    """The phrases of 200 draws, by concept."""
    generator = np.random.default_rng(0)
    rows = np.stack([concepts.draw(translated, paraphrased, generator) for _ in range(200)])
    for number in range(len(concepts)):
        assert (concepts.concept_of[rows[:, number]] == number).all()
    return [[concepts.texts[row] for row in column] for column in rows.T]


def test_nothing_is_drawn_at_probability_zero(concepts: ConceptPhrases) -> None:
    assert [set(texts) for texts in drawn(concepts, 0, 0)] == [
        {"Dog"},
        {"rain"},
        {"Siren"},
        {"xyzzy"},
    ]


def test_always_another_language(concepts: ConceptPhrases) -> None:
    for name, texts in zip(["Dog", "rain", "Siren"], drawn(concepts, 1, 0), strict=False):
        others = {text for language in LANGUAGES[1:] for text in phrases_of(name)[language]}
        assert set(texts) <= others
        assert len(set(texts)) > 15
    assert set(drawn(concepts, 1, 0)[3]) == {"xyzzy"}


def test_always_other_english_words(concepts: ConceptPhrases) -> None:
    for name, texts in zip(["Dog", "rain", "Siren"], drawn(concepts, 0, 1), strict=False):
        assert set(texts) == {name, *phrases_of(name)["en"]}


def test_as_often_as_the_probabilities_say(concepts: ConceptPhrases) -> None:
    english = {"Dog", *phrases_of_concepts()["Dog"]["en"]}
    texts = drawn(concepts, 0.3, 0.5)[0]
    foreign = np.mean([text not in english for text in texts])
    assert 0.2 < foreign < 0.4


def test_draws_depend_on_the_generator_alone(concepts: ConceptPhrases) -> None:
    one, again, other = (
        concepts.draw(0.5, 0.5, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2)
    )
    assert one == again != other
    one, again, other = (
        concepts.draw_translations(9, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2)
    )
    assert one == again != other


def test_half_of_the_translations_are_associations(concepts: ConceptPhrases) -> None:
    names = ("Dog", "rain", "Siren")
    others = {
        text for name in names for language in LANGUAGES[1:] for text in phrases_of(name)[language]
    }
    thought_of = {text for name in names for text in associations().get(name, ())}
    rows = concepts.draw_translations(401, np.random.default_rng(0))
    texts = [concepts.texts[row] for row in rows]
    assert len(texts) == 401
    assert set(texts[:201]) <= others
    assert set(texts[201:]) <= thought_of
    assert set(concepts.concept_of[rows].tolist()) == {0, 1, 2}


def test_a_concept_without_phrases_has_no_translations() -> None:
    alone = ConceptPhrases(["xyzzy"], tiny.sentences())
    assert len(alone.draw_translations(5, np.random.default_rng(0))) == 0
