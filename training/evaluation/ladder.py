"""Task `ladder`: models compared with chance and with frozen features, on the same queries.

Protocol: the split is that of `earmark train --preset starter`. Each rung trains the preset's
projection and tag encoder on frozen features of the training clips
(`training.evaluation.projection`), once for each seed; models embed clips as in the task
`retrieval`. All rows answer the same tag queries over the same validation clips, for all data sets
together and for each by itself. A tag of at least MIN_QUERY_CLIPS of the clips is a query.
Letters: n = validation clips, Q = query tags, d = size of frozen features, D = shared dimension.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.model.config import preset
from earmark.model.core.arrays import Array
from earmark.model.core.manifest import FILE_NAMES, SUFFIXES
from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from earmark.model.text.sentence_vectors import NAME, SentenceVectors
from earmark.model.text.word_vectors import WordVectors
from earmark.training.corpora.detect import read_corpus
from earmark.training.corpora.split import clips_digest, split_clips
from earmark.training.data.dataset import clean_tag_sets
from earmark.training.data.word2vec import load_words
from earmark.training.distillation.efficientat import (
    TEACHER_LICENCE,
    TEACHER_NAME,
    read_teacher,
)
from earmark.training.errors import CorpusError
from earmark.training.evaluation import frozen_features
from earmark.training.evaluation.projection import Projection, ProjectionData, train_projection
from earmark.training.features.cache import load_features
from earmark.training.features.encode_clips import load_codes
from earmark.training.metrics import ranking
from earmark.training.metrics.tag_queries import MIN_QUERY_CLIPS, query_tags, retrieval_metrics
from earmark.training.recipe import recipe_for

PRESET = "starter"
EPOCHS = 25
CHANCE_REPEATS = 10
ALL = "all"  # the table of all data sets
COLUMNS = (
    ("tag_to_audio", "mAP@10"),
    ("audio_to_tag", "mAP@10"),
    ("audio_to_tag", "recall@10"),
)
MAY_HAVE_TRAINED = "may have trained on some of these"


@dataclass(frozen=True)
class LadderSettings:
    """The rows to compare, and the data sets to compare them on.

    `teacher`: EfficientAT's file, for its rung, or None. `cache`: the feature cache's folder; a
    temporary one when None.
    """

    data: Sequence[Path]
    models: Sequence[Path] = ()
    teacher: Path | None = None
    seeds: Sequence[int] = (0,)
    cache: Path | None = None
    device: str = "cpu"


class LadderCorpus:
    """The clips of both sides, their clean tags, and the word vectors of the rungs."""

    def __init__(self, data: Sequence[Path]) -> None:
        names = data_set_names(data)
        data_sets = [(name, read_corpus(path)) for name, path in zip(names, data, strict=True)]
        self.train, self.validation = split_clips(
            [row for _, rows in data_sets for row in rows], recipe_for(PRESET).split
        )
        self.data_set_of = {row.path: name for name, rows in data_sets for row in rows}
        words = SentenceVectors(load_words(starter_model()).words)
        self.words: WordVectors = words
        self.train_tags = clean_tag_sets(self.train, words)
        self.validation_tags = clean_tag_sets(self.validation, words)
        # One batch, then single ones from its cache.
        words.vectors_of(list(dict.fromkeys(tag for tags in self.validation_tags for tag in tags)))

    @cached_property
    def validation_groups(self) -> set[str]:
        """The groups of the validation clips."""
        return {clip.group for clip in self.validation}


@dataclass(frozen=True)
class LadderQueries:
    """The queries that every row answers.

    `indices` [n]: validation clips that every row can embed; `tags` [Q]; `has_tag` [n, Q];
    `data_sets` [n]: the name of each clip's data set.
    """

    indices: npt.NDArray[np.int64]
    tags: list[str]
    has_tag: npt.NDArray[np.bool_]
    data_sets: list[str]

    def of_data_set(self, name: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(clips, tags) of one data set: the tags that are queries in it alone, too."""
        clips = np.flatnonzero(np.array(self.data_sets) == name)
        counts = self.has_tag[clips].sum(axis=0)
        return clips, np.flatnonzero((counts >= MIN_QUERY_CLIPS) & (counts < len(clips)))


def data_set_names(data: Sequence[Path]) -> list[str]:
    """Each data set's name: its folder's; its path where two share a name, or the name is ALL."""
    named = [(path.parent if path.name in FILE_NAMES else path).resolve() for path in data]
    short = [path.stem if path.suffix in SUFFIXES else path.name for path in named]
    return [
        str(path.resolve()) if name == ALL else str(path) if short.count(name) > 1 else name
        for name, path in zip(short, data, strict=True)
    ]


def evaluate(settings: LadderSettings) -> dict[str, Any]:
    """The task's result: protocol, and a table of rows for each group of queries.

    Raises CorpusError.
    """
    corpus = LadderCorpus(settings.data)
    embedders = [load_embedder(path, settings.device) for path in settings.models]
    models = list({embedder.fingerprint: embedder for embedder in embedders}.values())
    for embedder in models:
        embedder.require_audio()
    with ExitStack() as stack:
        cache = settings.cache
        if cache is None:
            cache = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        features = _frozen_features(settings, corpus, cache)
        vectors = {_row_name(model, models): _embed(model, corpus, cache) for model in models}
    matrices = [validation for _, validation in features.values()] + list(vectors.values())
    readable = np.logical_and.reduce([np.isfinite(matrix).all(axis=1) for matrix in matrices])
    queries = shared_queries(corpus, readable, [model.words for model in models])
    data = ProjectionData(
        corpus.train,
        corpus.train_tags,
        corpus.words,
        preset(PRESET),
        replace(recipe_for(PRESET), epochs=EPOCHS),
    )
    rungs = {
        name: _train_rung(data, queries, sides, settings.seeds) for name, sides in features.items()
    }
    rows = {name: cosines for name, (cosines, _) in rungs.items()}
    for embedder, (name, audio) in zip(models, vectors.items(), strict=True):
        tag_vectors = embedder.embed_tags([[tag] for tag in queries.tags])
        rows[name] = [audio[queries.indices] @ tag_vectors.T]
    notes = {
        name: MAY_HAVE_TRAINED
        for name, embedder in zip(vectors, models, strict=True)
        if not corpus.validation_groups <= set(embedder.card.get("validation_groups", ()))
    }
    epochs = {name: chosen for name, (_, chosen) in rungs.items()}
    fingerprints = {name: model.fingerprint for name, model in zip(vectors, models, strict=True)}
    return {
        "protocol": _protocol(settings, corpus, queries, data, epochs) | {"models": fingerprints},
        "tables": _tables(queries, rows),
        "notes": notes,
    }


def shared_queries(
    corpus: LadderCorpus, readable: npt.NDArray[np.bool_], vocabularies: Sequence[WordVectors]
) -> LadderQueries:
    """The queries of all rows: tags with a vector in each vocabulary, over readable clips.

    `readable` [validation clips]. Raises CorpusError without a query.
    """
    words = (corpus.words, *vocabularies)
    shared = {
        tag
        for tag in {tag for tags in corpus.validation_tags for tag in tags}
        if all(vectors.certain_vector(tag) is not None for vectors in words)
    }
    usable = [
        index
        for index, tags in enumerate(corpus.validation_tags)
        if readable[index] and any(corpus.words.certain_vector(tag) is not None for tag in tags)
    ]
    tag_sets = [corpus.validation_tags[index] for index in usable]
    tags = [tag for tag in query_tags(tag_sets) if tag in shared]
    if not tags:
        raise CorpusError(f"ladder: expected a tag with {MIN_QUERY_CLIPS} clips or more, got none")
    return LadderQueries(
        np.array(usable),
        tags,
        np.array([[tag in clip_tags for tag in tags] for clip_tags in map(set, tag_sets)]),
        [corpus.data_set_of[corpus.validation[index].path] for index in usable],
    )


def _frozen_features(
    settings: LadderSettings, corpus: LadderCorpus, cache: Path
) -> dict[str, tuple[Array, Array]]:
    """Rung → features [clips, d] of the training clips and of the validation clips."""
    sides = [[clip.path for clip in side] for side in (corpus.train, corpus.validation)]
    features = {"mfcc": [frozen_features.mfcc_statistics(paths, cache) for paths in sides]}
    if settings.teacher is not None:
        teacher = read_teacher(settings.teacher)
        features["teacher"] = [
            frozen_features.teacher_codes(
                teacher, load_features(paths, preset(PRESET).features, cache)
            )
            for paths in sides
        ]
    return {name: (train, validation) for name, (train, validation) in features.items()}


def _row_name(embedder: Embedder, models: Sequence[Embedder]) -> str:
    """A model's preset, with its fingerprint where several models share it."""
    name = embedder.name
    unique = [model.name for model in models].count(name) == 1
    return name if unique else f"{name} {embedder.fingerprint[:8]}"


def _embed(embedder: Embedder, corpus: LadderCorpus, cache: Path) -> Array:
    """Vectors [validation clips, D] as in `retrieval`; NaN for unreadable clips."""
    paths = [clip.path for clip in corpus.validation]
    heard = load_codes(embedder, paths, cache)
    vectors = np.full((len(paths), embedder.dim), np.nan, dtype=np.float32)
    vectors[heard.readable] = embedder.project(heard.codes[heard.readable])
    return vectors


def _train_rung(
    data: ProjectionData,
    queries: LadderQueries,
    features: tuple[Array, Array],
    seeds: Sequence[int],
) -> tuple[list[Array], list[int]]:
    """(cosines [n, Q] of each seed, the epoch that was chosen in each)."""
    train_features, validation_features = features
    certain = [data.words.certain_vector(tag) for tag in queries.tags]
    words = np.stack([vector for vector in certain if vector is not None])
    sounds = validation_features[queries.indices]

    def cosines(projection: Projection) -> Array:
        values: Array = projection.sounds(sounds) @ projection.words(words).T
        return values

    def score(projection: Projection) -> float:
        return ranking.map_at(cosines(projection).T, queries.has_tag.T)

    trained = [train_projection(data, train_features, seed, score) for seed in seeds]
    return [cosines(projection) for projection, _ in trained], [epoch for _, epoch in trained]


def _tables(queries: LadderQueries, rows: dict[str, list[Array]]) -> dict[str, dict[str, Any]]:
    """Data set, or ALL → row → column → metric (mean, std, runs)."""
    parts = {ALL: (np.arange(len(queries.indices)), np.arange(len(queries.tags)))}
    if len(set(queries.data_sets)) > 1:
        parts |= {name: queries.of_data_set(name) for name in dict.fromkeys(queries.data_sets)}
    tables: dict[str, dict[str, Any]] = {}
    for name, (clips, tags) in parts.items():
        if not len(tags):
            continue  # a data set without a query of its own
        selected = np.ix_(clips, tags)
        has_tag = queries.has_tag[selected]
        metrics = {"chance": [_chance(has_tag)]}
        for row, runs in rows.items():
            metrics[row] = [retrieval_metrics(cosines[selected], has_tag) for cosines in runs]
        tables[name] = {
            "clips": len(clips),
            "queries": len(tags),
            "rows": {row: _columns(runs) for row, runs in metrics.items()},
        }
    return tables


def _chance(has_tag: npt.NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """Metrics of random rankings, in both directions."""
    tagged = has_tag.any(axis=1)
    return {
        "tag_to_audio": ranking.chance(has_tag.T, CHANCE_REPEATS),
        "audio_to_tag": ranking.chance(has_tag[tagged], CHANCE_REPEATS),
    }


def _columns(runs: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, Any]]:
    """A row's columns: mean and standard deviation over the runs."""
    columns = {}
    for direction, metric in COLUMNS:
        values = np.array([run[direction][metric] for run in runs])
        columns[f"{direction} {metric}"] = {
            "mean": float(values.mean()),
            "std": float(values.std()),
            "runs": values.tolist(),
        }
    return columns


def _protocol(
    settings: LadderSettings,
    corpus: LadderCorpus,
    queries: LadderQueries,
    data: ProjectionData,
    epochs: dict[str, list[int]],
) -> dict[str, Any]:
    """Every choice that the metrics depend on."""
    recipe = data.recipe
    return {
        "data": data_set_names(settings.data),
        "train_clips": len(corpus.train),
        "clips": len(queries.indices),
        "unheard": len(corpus.validation) - len(queries.indices),
        "queries": len(queries.tags),
        "min_clips_per_query": MIN_QUERY_CLIPS,
        "split": "given" if any(clip.split for clip in corpus.validation) else recipe.split,
        "corpus": clips_digest(corpus.train),
        "groups": sorted(corpus.validation_groups),
        "seeds": list(settings.seeds),
        "words": f"{NAME}, of each tag alone",
        "recipe": {
            "preset": PRESET,
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "optimizer": recipe.optimizer,
            "learning_rate": recipe.learning_rate,
            "weight_decay": recipe.weight_decay,
            "warmup_epochs": recipe.warmup_epochs,
            "temperature": f"learned, from {recipe.temperature}",
            "contrastive_weight": recipe.contrastive_weight,
            "tagwise_weight": recipe.tagwise_weight,
            "tag_dropout": recipe.tag_dropout,
            "same_source_and_tags": "no negatives",
        },
        "chosen": "the epoch of the highest tag-to-audio mAP@10 on these clips, as for a model",
        "chosen_epochs": epochs,
        "frozen": {
            "mfcc": "20 MFCCs, first and second differences, mean and deviation over time",
            **(
                {"teacher": f"{TEACHER_NAME} ({TEACHER_LICENCE}), mean over windows"}
                if settings.teacher is not None
                else {}
            ),
        },
        "similarity": "cosine",
        "chance_repeats": CHANCE_REPEATS,
    }
