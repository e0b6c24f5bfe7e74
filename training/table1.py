"""A row of the paper's Table 1 on a corpus with folds: train without a fold, then test on it.

Each fold in turn is left out (a rotation). The encoders train on the tags of the other folds'
clips; the classifiers train on the other folds and are tested on the one left out: on sounds by
mean z_a ("us8k"), on tag sets by φ_w ("us8k-tags"). The same encoders also classify a second corpus
by its own folds ("transfer"). Accuracies are averaged over the rotations.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earmark.model.config import preset
from earmark.model.core.arrays import Array
from earmark.model.core.manifest import ManifestRow
from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from earmark.training.corpora.detect import read_corpus
from earmark.training.data.corpus import load_corpus
from earmark.training.errors import CorpusError
from earmark.training.evaluation import downstream, us8k_tags
from earmark.training.evaluation.audio_tasks import extract_features
from earmark.training.evaluation.downstream import Split
from earmark.training.evaluation.mfcc_baseline import mfcc_features
from earmark.training.features.encode_clips import load_codes
from earmark.training.loop.device import DeviceSettings
from earmark.training.loop.interrupts import RunInterrupted
from earmark.training.loop.trainer import Trainer
from earmark.training.recipe import Recipe, recipe_for

Accuracies = dict[str, list[Array]]  # task → for each rotation the accuracies of the repeats


@dataclass(frozen=True)
class Table1Settings:
    """What a row is trained and measured on.

    `transfer`: the second corpus, or None. `epochs`, `batch_size`: the preset's when None.
    `repeats`: of the classifiers.
    """

    preset: str
    data: Path
    transfer: Path | None
    out: Path
    cache: Path
    epochs: int | None = None
    batch_size: int | None = None
    repeats: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Table1Corpora:
    """The clips of both corpora, and the rotations of the first; `transfer` may be empty."""

    rows: list[ManifestRow]
    transfer: list[ManifestRow]
    rotations: list[Split]

    @staticmethod
    def read(settings: Table1Settings) -> Table1Corpora:
        """Raises CorpusError for a corpus that cannot be classified."""
        rows = read_corpus(settings.data)
        transfer = read_corpus(settings.transfer) if settings.transfer else []
        for corpus in filter(None, (transfer, rows)):
            rotations = downstream.fold_splits([row.fold for row in corpus])
            downstream.check_classes([row.label for row in corpus])
        return Table1Corpora(rows, transfer, rotations)


def reproduce(settings: Table1Settings, device: DeviceSettings) -> dict[str, Any]:
    """A preset's row: protocol and metrics. Resumes a row that was stopped.

    Raises CorpusError; RunInterrupted on a stop signal.
    """
    started = time.monotonic()
    recipe = recipe_for(settings.preset).with_values(
        epochs=settings.epochs, batch_size=settings.batch_size
    )
    corpora = Table1Corpora.read(settings)
    if not any(row.tags for row in corpora.rows):
        raise CorpusError(f"{settings.data}: expected tags to train on, got none")
    accuracies: Accuracies = {}
    training_seconds = 0.0
    for rotation in corpora.rotations:
        embedder, seconds = _train_encoders(settings, recipe, device, rotation.name)
        training_seconds += seconds
        both = filter(None, (corpora.rows, corpora.transfer))
        codes = [_mean_codes(settings, embedder, rows) for rows in both]
        results = _classify_sounds(settings, corpora, rotation, codes)
        results["us8k-tags"] = _classify_tag_sets(settings, corpora.rows, rotation, embedder)
        _add_accuracies(accuracies, results)
    training = {
        "recipe": asdict(recipe),
        "mixed_precision": device.mixed_precision,
        "training_seconds": round(training_seconds, 1),  # of all calls; the wall time is this one's
    }
    return _row(settings, corpora, accuracies, started, training)


def baseline(settings: Table1Settings) -> dict[str, Any]:
    """The row of the MFCC statistics, which need no training. Raises CorpusError."""
    started = time.monotonic()
    corpora = Table1Corpora.read(settings)
    statistics = []
    for rows in filter(None, (corpora.rows, corpora.transfer)):
        features, failed = extract_features([row.path for row in rows], mfcc_features)
        _refuse_unreadable(failed)
        statistics.append(np.stack([clip for clip in features if clip is not None]))
    accuracies: Accuracies = {}
    for rotation in corpora.rotations:
        _add_accuracies(accuracies, _classify_sounds(settings, corpora, rotation, statistics))
    return _row(settings, corpora, accuracies, started, {})


def _add_accuracies(accuracies: Accuracies, results: dict[str, dict[str, Any]]) -> None:
    """Append a rotation's accuracies."""
    for task, result in results.items():
        runs = np.array(result["metrics"]["accuracy"]["runs"], dtype=np.float32)
        accuracies.setdefault(task, []).append(runs)


def _row(
    settings: Table1Settings,
    corpora: Table1Corpora,
    accuracies: Accuracies,
    started: float,
    training: dict[str, Any],
) -> dict[str, Any]:
    """Accuracies averaged over the rotations, and the protocol."""
    metrics = {}
    for task, rotations in accuracies.items():
        runs = np.mean(rotations, axis=0)
        metrics[task] = {
            "mean": float(runs.mean()),
            "std": float(runs.std()),
            "runs": runs.tolist(),
        }
    by_rotation = {
        task: [float(runs.mean()) for runs in rotations] for task, rotations in accuracies.items()
    }
    protocol = {
        "data": settings.data.name,
        "transfer": settings.transfer.name if settings.transfer else None,
        "left_out_in_turn": [rotation.name for rotation in corpora.rotations],
        "by_rotation": by_rotation,
        "clips": [len(corpora.rows), len(corpora.transfer)],
        "repeats": settings.repeats,
        "seed": settings.seed,
        "wall_seconds": round(time.monotonic() - started, 1),
    }
    return {"metrics": metrics, "protocol": protocol | training}


def _train_encoders(
    settings: Table1Settings, recipe: Recipe, device: DeviceSettings, fold: str
) -> tuple[Embedder, float]:
    """(the best model by validation loss, trained without the fold; seconds of training)."""
    out = settings.out / f"without-{fold}"
    config, corpus = load_corpus(
        settings.data,
        preset(settings.preset),
        recipe,
        settings.cache,
        None,
        settings.seed,
        without_fold=fold,
    )
    trainer = Trainer(config, recipe, corpus, out, seed=settings.seed, settings=device)
    trainer.resume()
    trainer.fit()
    if trainer.stop_requested:
        raise RunInterrupted(f"stopped after training without fold {fold}")
    seconds = sum(row["seconds"] for row in trainer.history)
    return load_embedder(out, device.device), seconds


def _mean_codes(settings: Table1Settings, embedder: Embedder, rows: Sequence[ManifestRow]) -> Array:
    """Mean z_a [n, V] of all clips. Raises CorpusError for an unreadable one."""
    if not rows:
        return np.zeros((0, embedder.code_dim), dtype=np.float32)
    paths = [row.path for row in rows]
    heard = load_codes(embedder, paths, settings.cache)
    _refuse_unreadable(heard.failed)
    return heard.codes


def _refuse_unreadable(failed: dict[str, str]) -> None:
    if failed:
        first = next(iter(failed.values()))
        raise CorpusError(f"clips: expected all to be sounds, {len(failed)} are not: {first}")


def _classify_sounds(
    settings: Table1Settings, corpora: Table1Corpora, rotation: Split, codes: Sequence[Array]
) -> dict[str, dict[str, Any]]:
    """Classify the left-out fold's sounds, and those of the second corpus by its own folds."""
    labels = [row.label for row in corpora.rows]
    repeats = {"repeats": settings.repeats, "seed": settings.seed}
    results = {"us8k": downstream.evaluate(codes[0], labels, [rotation], **repeats)}
    if corpora.transfer:
        labels = [row.label for row in corpora.transfer]
        folds = downstream.fold_splits([row.fold for row in corpora.transfer])
        results["transfer"] = downstream.evaluate(codes[1], labels, folds, **repeats)
    return results


def _classify_tag_sets(
    settings: Table1Settings, rows: Sequence[ManifestRow], rotation: Split, embedder: Embedder
) -> dict[str, Any]:
    """Classify the tag sets of the left-out fold's clips that have a known tag."""
    phi, indices = us8k_tags.tag_vectors(embedder, rows)
    train, test = (
        np.flatnonzero(np.isin(indices, side)) for side in (rotation.train, rotation.test)
    )
    if not len(train) or not len(test):
        raise CorpusError(f"fold {rotation.name}: expected known tags there and in other folds")
    labels = [rows[index].label for index in indices.tolist()]
    split = Split(rotation.name, train, test)
    return downstream.evaluate(phi, labels, [split], repeats=settings.repeats, seed=settings.seed)
