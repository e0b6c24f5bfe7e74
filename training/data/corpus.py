"""A corpus on disk → a run's data: split, features, clean tags, word vectors, vocabulary.

Letters: F = mels.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from earmark.model.config import ModelConfig
from earmark.model.core.arrays import Array
from earmark.model.core.errors import ConfigError
from earmark.model.core.manifest import ManifestRow
from earmark.model.model_files import starter_model
from earmark.model.text.sentence_vectors import SentenceVectors
from earmark.model.text.word_vectors import WordVectors
from earmark.training.corpora import published
from earmark.training.corpora.detect import read_corpus
from earmark.training.corpora.split import clips_digest, split_clips
from earmark.training.data.dataset import TrainingSet, build_vocabulary, clean_tag_sets
from earmark.training.data.phrases import ConceptPhrases, audioset_classes, suggested_words
from earmark.training.data.word2vec import load_words, train_word2vec
from earmark.training.distillation.efficientat import BANDS, Teacher
from earmark.training.errors import CorpusError
from earmark.training.features.cache import FeatureSet, load_features
from earmark.training.label_noise.suspects import without_suspects
from earmark.training.recipe import Recipe

log = logging.getLogger(__name__)

TagSets = list[list[str]]  # of each clip


@dataclass
class Corpus:
    """The data of a run.

    `validation_tags`: clean tags of all validation clips, readable or not. `card`: what the model's
    card says of the corpus. `bands`: band minima and maxima [F] of the scaler; measured on the
    training clips when None. `teacher`: the network that the model begins as.
    """

    train: TrainingSet
    validation: TrainingSet
    validation_tags: Sequence[Sequence[str]]
    words: WordVectors
    vocabulary: list[str]
    card: dict[str, Any]
    bands: tuple[Array, Array] | None = None
    teacher: Teacher | None = None

    def digest(self) -> bytes:
        """A hash of the clips, word vectors, vocabulary and phrases that a run sees."""
        digest = hashlib.sha256(str(self.card.get("corpus")).encode())
        digest.update(self.train.indices.tobytes())
        digest.update(np.ascontiguousarray(self.words.vectors).tobytes())
        digest.update(" ".join(self.vocabulary).encode())
        if self.train.said is not None:
            phrases = [*self.train.said.tags.texts, *self.train.said.classes.texts]
            digest.update("\n".join(phrases).encode())
        return digest.digest()


@dataclass(frozen=True)
class _Sides:
    """The clips that train and the clips that validate, and their clean tags."""

    clips: tuple[Sequence[ManifestRow], Sequence[ManifestRow]]
    tag_sets: tuple[TagSets, TagSets]


def load_corpus(
    data: Path | Sequence[Path],
    config: ModelConfig,
    recipe: Recipe,
    cache: Path,
    words: Path | None,
    seed: int,
    *,
    without_fold: str | None = None,
    suspects: Path | None = None,
) -> tuple[ModelConfig, Corpus]:
    """Read, split and prepare a corpus, or several as one, for a preset.

    `data`: manifests, published data sets' folders, or the authors' published features.
    `without_fold`: a fold to leave out, to test on. `suspects`: a CSV file of likely wrong tags
    (`training.label_noise.suspects`), which are removed from the training clips.

    Returns the configuration too, which changes: the COALA baseline's word dimension is its
    vocabulary's size. Raises CorpusError, WordsError, ConfigError.
    """
    sources = [data] if isinstance(data, Path) else list(data)
    general = _general_words(recipe, words)
    features = _published_features(sources, config, cache)
    if features is not None:
        sides = _published_sides(features, without_fold, suspects)
    else:
        sides = _split_sides(sources, recipe, general, seed, without_fold, suspects)
    vectors, vocabulary, tag_sets = _choose_words(
        sources[0], sides.tag_sets, general, config, recipe, seed
    )
    if general is not None and words is None:
        vocabulary = suggested_words()  # a fine-tuned model suggests its corpus's tags
    config = _with_word_dim(config, vectors, recipe)
    bands = _teacher_bands(config) if config.audio.kind == "mobilenet" else None
    if features is not None:
        bands = features.bands or _unit_bands(config)
        config = replace(config, scaler_known=features.bands is not None)
    classes = None
    if isinstance(vectors, SentenceVectors):
        classes = ConceptPhrases(audioset_classes(), vectors)
    train, validation = sides.clips
    train_features, validation_features = (
        (features.train.features, features.validation.features)
        if features is not None
        else (_load_features(train, config, cache), _load_features(validation, config, cache))
    )
    return config, Corpus(
        train=TrainingSet(train, tag_sets[0], train_features, vectors, config, classes),
        validation=TrainingSet(
            validation, tag_sets[1], validation_features, vectors, config, classes
        ),
        validation_tags=tag_sets[1],
        words=vectors,
        vocabulary=vocabulary,
        card=_card(config, recipe, train, validation, seed) | {"without_fold": without_fold},
        bands=bands,
    )


def _published_features(
    sources: Sequence[Path], config: ModelConfig, cache: Path
) -> published.PublishedFeatures | None:
    """The authors' published features, if the source holds them. Raises ConfigError."""
    if not any(map(published.is_published, sources)):
        return None
    if len(sources) > 1:
        raise ConfigError("--data: the published features stand alone, got more beside them")
    return published.read(sources[0], config.features, cache)


def _published_sides(
    features: published.PublishedFeatures, without_fold: str | None, suspects: Path | None
) -> _Sides:
    """The sides of the published features, with the authors' own clean tags."""
    if without_fold is not None:
        raise ConfigError("--without-fold: the published features have no folds")
    if suspects is not None:
        raise ConfigError("--without-suspects: the published features are clean as they are")
    clips = (features.train.rows, features.validation.rows)
    # Cleaning them again would lose some tags.
    train_tags, validation_tags = ([list(row.tags) for row in side] for side in clips)
    return _Sides(clips, (train_tags, validation_tags))


def _split_sides(
    sources: Sequence[Path],
    recipe: Recipe,
    general: WordVectors | None,
    seed: int,
    without_fold: str | None,
    suspects: Path | None,
) -> _Sides:
    """The sides of manifests and data sets, split by the recipe, with clean tags."""
    rows = _leave_fold_out([row for data in sources for row in read_corpus(data)], without_fold)
    if not any(row.tags for row in rows):
        raise CorpusError(f"{sources[0]}: expected tags to train on, got none")
    train, validation = split_clips(rows, recipe.split, seed)
    train = train if suspects is None else without_suspects(train, suspects)
    tag_sets = (clean_tag_sets(train, general), clean_tag_sets(validation, general))
    return _Sides((train, validation), tag_sets)


def _choose_words(
    data: Path,
    tag_sets: tuple[TagSets, TagSets],
    general: WordVectors | None,
    config: ModelConfig,
    recipe: Recipe,
    seed: int,
) -> tuple[WordVectors, list[str], tuple[TagSets, TagSets]]:
    """(word vectors, vocabulary, each side's tag sets as the model sees them)."""
    train_tags, validation_tags = tag_sets
    vocabulary = build_vocabulary(train_tags, recipe.vocabulary, recipe.min_count)
    if not vocabulary:
        raise CorpusError(f"{data}: no tag stands in {recipe.min_count} clips or more")
    if general is not None:
        # The corpus's own tags keep their vectors, however rare the words are elsewhere.
        used = dict.fromkeys(tag for side in tag_sets for tags in side for tag in tags)
        vectors = general.keep(recipe.general_words, also=used)
        return vectors, vocabulary, tag_sets
    in_vocabulary = set(vocabulary)
    train_tags, validation_tags = (
        [[tag for tag in tags if tag in in_vocabulary] for tags in side] for side in tag_sets
    )
    tag_sets = (train_tags, validation_tags)
    if recipe.words == "one-hot":
        return WordVectors.one_hot(vocabulary), vocabulary, tag_sets
    return train_word2vec(train_tags, config.tags.word_dim, seed=seed), vocabulary, tag_sets


def _leave_fold_out(rows: list[ManifestRow], fold: str | None) -> list[ManifestRow]:
    """The rows of all other folds; all rows when None."""
    folds = {row.fold for row in rows}
    if fold is not None and fold not in folds:
        names = ", ".join(sorted(folds - {""})) or "none"
        raise CorpusError(f"fold: expected one of the corpus ({names}), got {fold!r}")
    return [row for row in rows if fold is None or row.fold != fold]


def _unit_bands(config: ModelConfig) -> tuple[Array, Array]:
    """Band minima 0 and maxima 1, for patches that are already scaled."""
    bands = config.features.n_mels
    return np.zeros(bands, dtype=np.float32), np.ones(bands, dtype=np.float32)


def _teacher_bands(config: ModelConfig) -> tuple[Array, Array]:
    """Band minima and maxima of the scaler that gives the teacher's own input."""
    low, high = (np.full(config.features.n_mels, value, dtype=np.float32) for value in BANDS)
    return low, high


def _general_words(recipe: Recipe, words: Path | None) -> WordVectors | None:
    """The words of phrases, for a recipe that uses them: an English list, those of `words`."""
    if recipe.words != "phrases":
        if words is not None:
            raise ConfigError(f"words: this preset trains its own ({recipe.words}), got {words}")
        return None
    if words is None:
        log.info("word list: that of the starter model")
    return SentenceVectors(load_words(words or starter_model()).words)


def _with_word_dim(config: ModelConfig, vectors: WordVectors, recipe: Recipe) -> ModelConfig:
    if recipe.words == "one-hot":
        return replace(config, tags=replace(config.tags, word_dim=vectors.dim))
    if vectors.dim != config.tags.word_dim:
        raise ConfigError(
            f"words: expected vectors of {config.tags.word_dim} dimensions, got {vectors.dim}"
        )
    return config


def _load_features(clips: Sequence[ManifestRow], config: ModelConfig, cache: Path) -> FeatureSet:
    """The clips' features; logs unreadable clips."""
    features = load_features([clip.path for clip in clips], config.features, cache)
    for reason in features.failed.values():
        log.warning("left out: %s", reason)
    return features


def _card(
    config: ModelConfig,
    recipe: Recipe,
    train: Sequence[ManifestRow],
    validation: Sequence[ManifestRow],
    seed: int,
) -> dict[str, Any]:
    return {
        "preset": config.name,
        "seed": seed,
        "temperature": recipe.temperature,
        "split": "given" if any(clip.split for clip in validation) else recipe.split,
        "corpus": clips_digest(train),
        "train_clips": len(train),
        "validation_clips": len(validation),
        "validation_groups": sorted({clip.group for clip in validation}),
    }
