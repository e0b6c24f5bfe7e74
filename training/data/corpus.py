"""From a corpus on disk to what the trainer needs: split, features, tags, words, vocabulary."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from earmark.model.checkpoint import starter_model
from earmark.model.config import ModelConfig
from earmark.model.core.arrays import Array
from earmark.model.core.errors import ConfigError
from earmark.model.core.manifest import ManifestRow
from earmark.model.networks.audio_encoder import AudioEncoder
from earmark.model.text.word_vectors import WordVectors
from earmark.training.corpora import published
from earmark.training.corpora.detect import read_corpus
from earmark.training.corpora.manifest import clips_digest, split_clips
from earmark.training.corpora.suspects import without_suspects
from earmark.training.data.dataset import TrainingSet, build_vocabulary, clean_tag_sets
from earmark.training.data.word2vec import load_words, train_word2vec
from earmark.training.distillation.teacher import FEATURES
from earmark.training.distillation.teacher import bands as bands_of_teacher
from earmark.training.errors import CorpusError
from earmark.training.features.cache import FeatureSet, prepare
from earmark.training.recipe import Recipe

log = logging.getLogger(__name__)


@dataclass
class Corpus:
    """All a run needs of its data: both sides ready, words, vocabulary, where it came from.

    `bands`: band minima and maxima [F] of the scaler; taken from the training clips when None.
    `teacher`: whose codes the training clips come with.
    """

    train: TrainingSet
    validation: TrainingSet
    validation_tags: Sequence[Sequence[str]]
    words: WordVectors
    vocabulary: list[str]
    card: dict[str, Any]
    bands: tuple[Array, Array] | None = None
    teacher: AudioEncoder | None = None

    def digest(self) -> bytes:
        """Names the clips, words and vocabulary that a run sees."""
        digest = hashlib.sha256(str(self.card.get("corpus")).encode())
        digest.update(self.train.numbers.tobytes())
        digest.update(np.ascontiguousarray(self.words.vectors).tobytes())
        digest.update(" ".join(self.vocabulary).encode())
        return digest.digest()


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
    `without_fold`: clips of this fold stay out, to test on. `suspects`: a CSV of tags that are
    likely wrong (`training.corpora.suspects`), which training clips then go without.

    Returns the configuration too: the COALA baseline's word dimension is its vocabulary's
    size. Raises CorpusError, WordsError, ConfigError.
    """
    sources = [data] if isinstance(data, Path) else list(data)
    general = _general_words(recipe, words)
    ready = _published(sources, config, cache)
    if ready is not None:
        if without_fold is not None:
            raise ConfigError("--without-fold: the published features have no folds")
        if suspects is not None:
            raise ConfigError("--without-suspects: the published features are clean as they are")
        train, validation = ready.train.rows, ready.validation.rows
        # Their tags are as the authors cleaned them: another clean-up would lose some.
        tag_sets = [[list(row.tags) for row in side] for side in (train, validation)]
    else:
        rows = _without([row for each in sources for row in read_corpus(each)], without_fold)
        if not any(row.tags for row in rows):
            raise CorpusError(f"{sources[0]}: expected tags to train on, got none")
        train, validation = split_clips(rows, recipe.split, seed)
        train = train if suspects is None else without_suspects(train, suspects)
        tag_sets = [clean_tag_sets(side, general) for side in (train, validation)]
    vectors, vocabulary, tag_sets = _words(sources[0], tag_sets, general, config, recipe, seed)
    config = _with_word_dim(config, vectors, recipe)
    bands = bands_of_teacher() if config.features == FEATURES else None
    if ready is not None:
        bands = ready.bands or _scaled_bands(config)
        config = replace(config, scaler_known=ready.bands is not None)
    features = (
        (ready.train.features, ready.validation.features)
        if ready is not None
        else (_features(train, config, cache), _features(validation, config, cache))
    )
    return config, Corpus(
        train=TrainingSet(train, tag_sets[0], features[0], vectors, config),
        validation=TrainingSet(validation, tag_sets[1], features[1], vectors, config),
        validation_tags=tag_sets[1],
        words=vectors,
        vocabulary=vocabulary,
        card=_card(config, recipe, train, validation, seed) | {"without_fold": without_fold},
        bands=bands,
    )


def _published(
    sources: Sequence[Path], config: ModelConfig, cache: Path
) -> published.Published | None:
    """The authors' published features, where those are what is given. Raises ConfigError."""
    if not any(map(published.is_published, sources)):
        return None
    if len(sources) > 1:
        raise ConfigError("--data: the published features stand alone, got more beside them")
    return published.read(sources[0], config.features, cache)


def _words(
    data: Path,
    tag_sets: list[list[list[str]]],
    general: WordVectors | None,
    config: ModelConfig,
    recipe: Recipe,
    seed: int,
) -> tuple[WordVectors, list[str], list[list[list[str]]]]:
    """(word vectors, vocabulary, each side's tag sets as the model will see them)."""
    train_tags, _ = tag_sets
    vocabulary = build_vocabulary(train_tags, recipe.vocabulary, recipe.min_count)
    if not vocabulary:
        raise CorpusError(f"{data}: no tag stands in {recipe.min_count} clips or more")
    if general is not None:
        # The corpus's own tags keep their vectors, however rare the words are elsewhere.
        used = dict.fromkeys(tag for side in tag_sets for tags in side for tag in tags)
        vectors = general.keep(recipe.general_words, also=used)
        known = [tag for tag in vocabulary if vectors.certain_vector(tag) is not None]
        return vectors, known, tag_sets
    kept = set(vocabulary)
    tag_sets = [[[tag for tag in tags if tag in kept] for tags in side] for side in tag_sets]
    if recipe.words == "one-hot":
        return WordVectors.one_hot(vocabulary), vocabulary, tag_sets
    return train_word2vec(tag_sets[0], config.tags.word_dim, seed=seed), vocabulary, tag_sets


def _without(rows: list[ManifestRow], fold: str | None) -> list[ManifestRow]:
    """The rows of all other folds."""
    folds = {row.fold for row in rows}
    if fold is not None and fold not in folds:
        known = ", ".join(sorted(folds - {""})) or "none"
        raise CorpusError(f"fold: expected one of the corpus ({known}), got {fold!r}")
    return [row for row in rows if fold is None or row.fold != fold]


def _scaled_bands(config: ModelConfig) -> tuple[Array, Array]:
    """Band minima and maxima of patches that are scaled already."""
    bands = config.features.n_mels
    return np.zeros(bands, dtype=np.float32), np.ones(bands, dtype=np.float32)


def _general_words(recipe: Recipe, words: Path | None) -> WordVectors | None:
    """The general vectors of a recipe that wants them."""
    if recipe.words != "general":
        if words is not None:
            raise ConfigError(f"words: this preset trains its own ({recipe.words}), got {words}")
        return None
    if words is None:
        log.info("word vectors: those of the starter model")
    return load_words(words or starter_model()).unit()


def _with_word_dim(config: ModelConfig, vectors: WordVectors, recipe: Recipe) -> ModelConfig:
    if recipe.words == "one-hot":
        return replace(config, tags=replace(config.tags, word_dim=vectors.dim))
    if vectors.dim != config.tags.word_dim:
        raise ConfigError(
            f"words: expected vectors of {config.tags.word_dim} dimensions, got {vectors.dim}"
        )
    return config


def _features(clips: Sequence[ManifestRow], config: ModelConfig, cache: Path) -> FeatureSet:
    features = prepare([clip.path for clip in clips], config.features, cache)
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
