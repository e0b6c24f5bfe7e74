"""Task `ladder`: a model beside what chance finds, and what is found through frozen features.

Protocol: the split of `earmark train --preset starter`. Each rung trains the preset's projection
and tag encoder on frozen features of the training clips (`training.evaluation.projection`), once a
seed; models are embedded as the task `retrieval` does. All rows are asked for the same tags over
the same validation clips, for all of them and for each data set by itself: a tag of at least
MIN_CLIPS of them is a query.
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

from earmark.model.checkpoint import starter_model
from earmark.model.config import preset
from earmark.model.core.arrays import Array
from earmark.model.core.manifest import FILE_NAME
from earmark.model.embedder import Embedder
from earmark.model.text.word_vectors import WordVectors
from earmark.training.corpora.detect import read_corpus
from earmark.training.corpora.manifest import clips_digest, split_clips
from earmark.training.data.dataset import clean_tag_sets
from earmark.training.data.word2vec import load_words
from earmark.training.distillation.teacher import LICENCE, NAME, read_teacher
from earmark.training.errors import CorpusError
from earmark.training.evaluation import frozen
from earmark.training.evaluation.projection import Lessons, Projection, train
from earmark.training.evaluation.retrieval import (
    MIN_CLIPS,
    both_scores,
    embed_features,
    query_tags,
)
from earmark.training.features.cache import prepare
from earmark.training.metrics import ranking
from earmark.training.recipe import recipe

PRESET = "starter"
EPOCHS = 25
CHANCE_REPEATS = 10
ALL = "all"  # the table of all data sets
COLUMNS = (
    ("tag_to_audio", "mAP@10"),
    ("audio_to_tag", "mAP@10"),
    ("audio_to_tag", "recall@10"),
)
SOME_KNOWN = "may have trained on some of these"


@dataclass(frozen=True)
class Plan:
    """What is compared on what. `teacher`: the wheel of aiSFX, for its rung; `mixed`: it hears in
    bfloat16. `cache`: where features are kept; None for a temporary folder.
    """

    data: Sequence[Path]
    models: Sequence[Path] = ()
    teacher: Path | None = None
    seeds: Sequence[int] = (0,)
    cache: Path | None = None
    device: str = "cpu"
    mixed: bool = False


class Clips:
    """The corpus of a plan on its two sides, with clean tags; and the words of both."""

    def __init__(self, data: Sequence[Path]) -> None:
        read = [(name, read_corpus(path)) for name, path in zip(names(data), data, strict=True)]
        self.train, self.validation = split_clips(
            [row for _, rows in read for row in rows], recipe(PRESET).split
        )
        self.set_of = {row.path: name for name, rows in read for row in rows}
        self.words: WordVectors = load_words(starter_model()).unit()
        self.train_tags = clean_tag_sets(self.train, self.words)
        self.validation_tags = clean_tag_sets(self.validation, self.words)

    @cached_property
    def groups(self) -> set[str]:
        """The groups that validate."""
        return {clip.group for clip in self.validation}


@dataclass(frozen=True)
class Questions:
    """The validation clips `numbers` that every row can hear, the tags asked for, and who carries
    them: carried [clips, tags].
    """

    numbers: npt.NDArray[np.int64]
    tags: list[str]
    carried: npt.NDArray[np.bool_]
    sets: list[str]

    def part(self, name: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(clips, tags) of a data set by itself: those tags that are a query there too."""
        clips = np.flatnonzero(np.array(self.sets) == name)
        counts = self.carried[clips].sum(axis=0)
        return clips, np.flatnonzero((counts >= MIN_CLIPS) & (counts < len(clips)))


def names(data: Sequence[Path]) -> list[str]:
    """What each data set is called: its folder; its path where two folders share a name, or where
    that is what the table of all is called."""
    short = [
        (path.parent if path.name == FILE_NAME else path).resolve().name.removesuffix(".csv")
        for path in data
    ]
    return [
        str(path.resolve()) if name == ALL else str(path) if short.count(name) > 1 else name
        for name, path in zip(short, data, strict=True)
    ]


def evaluate(plan: Plan) -> dict[str, Any]:
    """The task's result: protocol, and tables of rows by what is asked. Raises CorpusError."""
    clips = Clips(plan.data)
    loaded = [Embedder.load(path, plan.device) for path in plan.models]
    models = list({each.fingerprint: each for each in loaded}.values())  # each once
    for embedder in models:
        embedder.require_audio()
    with ExitStack() as stack:
        cache = plan.cache
        if cache is None:
            cache = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        features = _frozen_features(plan, clips, cache)
        sounds = {_name(each, models): _embedded(each, clips, cache) for each in models}
    heard = [np.isfinite(side).all(axis=1) for _, side in features.values()]
    heard += [np.isfinite(each).all(axis=1) for each in sounds.values()]
    asked = questions(clips, np.logical_and.reduce(heard), [each.words for each in models])
    lessons = Lessons(
        clips.train,
        clips.train_tags,
        clips.words,
        preset(PRESET),
        replace(recipe(PRESET), epochs=EPOCHS),
    )
    rungs = {name: _rung(lessons, asked, each, plan.seeds) for name, each in features.items()}
    rows = {name: runs for name, (runs, _) in rungs.items()}
    for embedder, (name, audio) in zip(models, sounds.items(), strict=True):
        words = embedder.embed_tags([[tag] for tag in asked.tags])
        rows[name] = [audio[asked.numbers] @ words.T]
    notes = {
        name: SOME_KNOWN
        for name, embedder in zip(sounds, models, strict=True)
        if not clips.groups <= set(embedder.card.get("validation_groups", ()))
    }
    epochs = {name: each for name, (_, each) in rungs.items()}
    return {
        "protocol": _protocol(plan, clips, asked, lessons, epochs)
        | {"models": {name: each.fingerprint for name, each in zip(sounds, models, strict=True)}},
        "tables": _tables(asked, rows),
        "notes": notes,
    }


def questions(
    clips: Clips, heard: npt.NDArray[np.bool_], vocabularies: Sequence[WordVectors]
) -> Questions:
    """What is asked of all rows: the tags that all of them understand, over the clips that all of
    them heard (`heard` [validation clips]). Raises CorpusError where that is nothing.
    """
    known = {
        tag
        for tag in {tag for tags in clips.validation_tags for tag in tags}
        if all(each.certain_vector(tag) is not None for each in (clips.words, *vocabularies))
    }
    usable = [
        number
        for number, tags in enumerate(clips.validation_tags)
        if heard[number] and any(clips.words.certain_vector(tag) is not None for tag in tags)
    ]
    tag_sets = [clips.validation_tags[number] for number in usable]
    tags = [tag for tag in query_tags(tag_sets) if tag in known]
    if not tags:
        raise CorpusError(f"ladder: expected a tag with {MIN_CLIPS} clips or more, got none")
    return Questions(
        np.array(usable),
        tags,
        np.array([[tag in own for tag in tags] for own in map(set, tag_sets)]),
        [clips.set_of[clips.validation[number].path] for number in usable],
    )


def _frozen_features(plan: Plan, clips: Clips, cache: Path) -> dict[str, tuple[Array, Array]]:
    """Rung → features [clips, d] of the training and of the validation clips."""
    sides = [[clip.path for clip in side] for side in (clips.train, clips.validation)]
    known = {"mfcc": [frozen.mfcc(paths, cache) for paths in sides]}
    if plan.teacher is not None:
        teacher = read_teacher(plan.teacher)
        known["aisfx"] = [
            frozen.teacher_code(
                teacher, prepare(paths, preset(PRESET).features, cache), cache, mixed=plan.mixed
            )
            for paths in sides
        ]
    return {name: (train, validation) for name, (train, validation) in known.items()}


def _name(embedder: Embedder, models: Sequence[Embedder]) -> str:
    """A model's row: its preset, with its fingerprint where several are of one."""
    name = embedder.config.name
    alone = [each.config.name for each in models].count(name) == 1
    return name if alone else f"{name} {embedder.fingerprint[:8]}"


def _embedded(embedder: Embedder, clips: Clips, cache: Path) -> Array:
    """Vectors [n, D] of the validation clips, as `retrieval` has them; NaN where none."""
    features = prepare([clip.path for clip in clips.validation], embedder.config.features, cache)
    vectors = np.full((len(features), embedder.dim), np.nan, dtype=np.float32)
    there = np.flatnonzero(features.ok)
    if len(there):
        vectors[there] = embed_features(embedder, features, there.tolist())
    return vectors


def _rung(
    lessons: Lessons, asked: Questions, features: tuple[Array, Array], seeds: Sequence[int]
) -> tuple[list[Array], list[int]]:
    """(cosines [clips, tags] of each seed, the epoch that was chosen in each)."""
    known = [lessons.words.certain_vector(tag) for tag in asked.tags]
    words = np.stack([vector for vector in known if vector is not None])
    sounds = features[1][asked.numbers]

    def cosines(projection: Projection) -> Array:
        made: Array = projection.sounds(sounds) @ projection.words(words).T
        return made

    def judge(projection: Projection) -> float:
        return ranking.map_at(cosines(projection).T, asked.carried.T)

    trained = [train(lessons, features[0], seed, judge) for seed in seeds]
    return [cosines(each) for each, _ in trained], [epoch for _, epoch in trained]


def _tables(asked: Questions, rows: dict[str, list[Array]]) -> dict[str, dict[str, Any]]:
    """What is asked → row → column → figure (mean, std, runs)."""
    everything = (np.arange(len(asked.numbers)), np.arange(len(asked.tags)))
    parts = {ALL: everything}
    if len(set(asked.sets)) > 1:
        parts |= {name: asked.part(name) for name in dict.fromkeys(asked.sets)}
    tables: dict[str, dict[str, Any]] = {}
    for name, (clips, tags) in parts.items():
        if not len(tags):
            continue  # too small to be asked by itself
        carried = asked.carried[np.ix_(clips, tags)]
        made = {"chance": [_chance(carried)]}
        for row, runs in rows.items():
            made[row] = [both_scores(each[np.ix_(clips, tags)], carried) for each in runs]
        tables[name] = {
            "clips": len(clips),
            "queries": len(tags),
            "rows": {row: _figures(runs) for row, runs in made.items()},
        }
    return tables


def _chance(carried: npt.NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    tagged = carried.any(axis=1)
    return {
        "tag_to_audio": ranking.chance(carried.T, CHANCE_REPEATS),
        "audio_to_tag": ranking.chance(carried[tagged], CHANCE_REPEATS),
    }


def _figures(runs: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, Any]]:
    figures = {}
    for direction, metric in COLUMNS:
        values = np.array([run[direction][metric] for run in runs])
        figures[f"{direction} {metric}"] = {
            "mean": float(values.mean()),
            "std": float(values.std()),
            "runs": values.tolist(),
        }
    return figures


def _protocol(
    plan: Plan,
    clips: Clips,
    asked: Questions,
    lessons: Lessons,
    epochs: dict[str, list[int]],
) -> dict[str, Any]:
    """Every choice that the figures depend on."""
    used = lessons.recipe
    return {
        "data": names(plan.data),
        "train_clips": len(clips.train),
        "clips": len(asked.numbers),
        "unheard": len(clips.validation) - len(asked.numbers),
        "queries": len(asked.tags),
        "min_clips_per_query": MIN_CLIPS,
        "split": "given" if any(clip.split for clip in clips.validation) else used.split,
        "corpus": clips_digest(clips.train),
        "groups": sorted(clips.groups),
        "seeds": list(plan.seeds),
        "words": "the starter model's, of length 1",
        "recipe": {
            "preset": PRESET,
            "epochs": used.epochs,
            "batch_size": used.batch_size,
            "optimizer": used.optimizer,
            "learning_rate": used.learning_rate,
            "weight_decay": used.weight_decay,
            "warmup_epochs": used.warmup_epochs,
            "temperature": f"learned, from {used.temperature}",
            "tagwise_weight": used.tagwise_weight,
            "tag_dropout": used.tag_dropout,
            "same_source_and_tags": "no negatives",
        },
        "chosen": "the epoch of the highest tag-to-audio mAP@10 on these clips, as for a model",
        "chosen_epochs": epochs,
        "frozen": {
            "mfcc": "20 MFCCs, first and second differences, mean and deviation over time",
            **({"aisfx": f"{NAME} ({LICENCE}), mean over windows"} if plan.teacher else {}),
        },
        "teacher_precision": ("bfloat16" if plan.mixed else "float32") if plan.teacher else None,
        "similarity": "cosine",
        "chance_repeats": CHANCE_REPEATS,
    }
