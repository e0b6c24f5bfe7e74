"""From a manifest of real files to what the trainer needs."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from earmark.model.checkpoint import save
from earmark.model.core.errors import ConfigError
from earmark.training.data.corpus import load_corpus
from earmark.training.data.phrases import CLASSES, suggested_words
from earmark.training.errors import CorpusError
from earmark.training.label_noise.suspects import Suspect, write_suspects
from earmark.training.recipe import recipe_for
from tests.model.tiny import checkpoint_of
from tests.training.tiny import KINDS, PHRASES, TAGS, tiny_model, words_of, write_corpus


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of files, one of them broken."""
    folder = tmp_path_factory.mktemp("corpus")
    path = write_corpus(folder, train=12, validation=6)
    (folder / "003.wav").write_text("broken")
    return path


@pytest.fixture(scope="module")
def cache(manifest: Path) -> Path:
    return manifest.parent / "cache"


def paper(name: str) -> object:
    return replace(recipe_for(name), min_count=2)


def test_phrases(manifest: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the words of a given model, the vocabulary is the corpus's; else a list of ours."""
    checkpoint = checkpoint_of(tiny_model())
    checkpoint.words = words_of(16)
    save(manifest.parent / "words", checkpoint)
    preset = tiny_model("starter")
    with caplog.at_level(logging.WARNING):
        config, corpus = load_corpus(manifest, preset, PHRASES, cache, manifest.parent / "words", 5)
    assert "left out: 003.wav: not a sound" in caplog.text
    assert config == preset
    assert (len(corpus.train), len(corpus.validation)) == (11, 6)
    assert set(corpus.vocabulary) == set(TAGS)
    assert corpus.words.words == TAGS
    assert [set(tags) for tags in corpus.validation_tags[:3]] == [
        set(tags) for tags in KINDS.values()
    ]
    assert corpus.card["train_clips"] == 12
    assert corpus.card["validation_groups"] == [str(number) for number in range(12, 18)]
    assert (corpus.card["seed"], corpus.card["preset"]) == (5, "starter")
    assert corpus.card["temperature"] == PHRASES.temperature
    low, high = corpus.bands  # of EfficientAT, not of these clips
    assert (set(low.tolist()), set(high.tolist())) == ({-4.5}, {0.5})
    for side in (corpus.train, corpus.validation):
        assert side.said is not None
        assert len(side.said.classes) == CLASSES
        assert len(side.said.tags) == len(TAGS)
    before = corpus.digest()
    assert corpus.digest() == before
    corpus.train.said.tags.texts[-1] += "s"  # a corrected phrase is another corpus
    assert corpus.digest() != before
    _, corpus = load_corpus(manifest, preset, PHRASES, cache, None, 5)
    assert corpus.vocabulary == suggested_words()
    assert "rain" in corpus.words  # the shipped model's list of English words


def test_words_trained_on_the_corpus(manifest: Path, cache: Path) -> None:
    config, corpus = load_corpus(
        manifest, tiny_model("w2v-128-1h"), paper("w2v-128-1h"), cache, None, 0
    )
    assert corpus.words.dim == config.tags.word_dim == 16
    assert set(corpus.words.words) == set(TAGS)
    assert corpus.vocabulary[0] == "steady"  # in most clips


def test_one_hot_words_set_the_dimension(manifest: Path, cache: Path) -> None:
    config, corpus = load_corpus(manifest, tiny_model("coala"), paper("coala"), cache, None, 0)
    assert config.tags.word_dim == len(corpus.vocabulary) == len(TAGS)
    assert corpus.words.words == corpus.vocabulary


def test_refuses_words_that_do_not_fit(manifest: Path, cache: Path) -> None:
    with pytest.raises(ConfigError, match=r"words: this preset trains its own \(cbow\), got x"):
        load_corpus(
            manifest, tiny_model("w2v-128-1h"), recipe_for("w2v-128-1h"), cache, Path("x"), 0
        )
    config = tiny_model("starter")
    narrow = replace(config, tags=replace(config.tags, word_dim=16))
    with pytest.raises(ConfigError, match="expected vectors of 16 dimensions, got 512"):
        load_corpus(manifest, narrow, PHRASES, cache, None, 0)


def test_refuses_too_few_tags(manifest: Path, cache: Path) -> None:
    with pytest.raises(CorpusError, match="no tag stands in 10 clips or more"):
        load_corpus(manifest, tiny_model("coala"), recipe_for("coala"), cache, None, 0)


def test_suspect_tags_do_not_train_and_still_validate(manifest: Path, cache: Path) -> None:
    """Without them where a model learns; where it is measured nothing changes."""
    suspects = manifest.parent / "suspects.csv"
    write_suspects(
        suspects,
        [
            Suspect(f"{number:03d}.wav", "steady", "wrong", 0.9, 0.1, str(number))
            for number in (0, 12)
        ],
    )
    config, recipe = tiny_model("w2v-128-1h"), paper("w2v-128-1h")
    _, whole = load_corpus(manifest, config, recipe, cache, None, 0)
    _, clean = load_corpus(manifest, config, recipe, cache, None, 0, suspects=suspects)
    before, after = (corpus.train.tag_counts(["steady", "tone"]) for corpus in (whole, clean))
    assert (after - before).tolist() == [-1, 0]
    assert clean.validation_tags == whole.validation_tags
