"""A row of Table 1 on a corpus with folds: train, then evaluate on what did not train.

Each fold in turn stays out. The encoders train on the tags of the other folds' clips; the
classifiers train on the other folds and are tested on the one left out: sounds by mean z_a
("us8k"), tags by φ_w ("us8k-tags"). A second corpus with folds of its own is classified by the
same encoders ("transfer"). Accuracies are averaged over the rotations.
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
from earmark.training.corpora.detect import read_corpus
from earmark.training.data.corpus import load_corpus
from earmark.training.errors import CorpusError
from earmark.training.evaluation import downstream, tags
from earmark.training.evaluation.audio_tasks import clip_features
from earmark.training.evaluation.downstream import Split
from earmark.training.evaluation.mfcc_baseline import mfcc_features
from earmark.training.evaluation.retrieval import clip_codes
from earmark.training.features.cache import prepare
from earmark.training.loop.device import Execution
from earmark.training.loop.interrupts import Stopped
from earmark.training.loop.trainer import Trainer
from earmark.training.recipe import Recipe, recipe

Runs = dict[str, list[Array]]  # task → for each rotation the accuracies of the repeats


@dataclass(frozen=True)
class Plan:
    """What a row is made of.

    `transfer`: a second corpus, or None. `epochs`, `batch_size`: the preset's where None.
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
class Corpora:
    """The clips of both corpora, and how the first is rotated."""

    rows: list[ManifestRow]
    others: list[ManifestRow]
    rotations: list[Split]

    @staticmethod
    def read(plan: Plan) -> Corpora:
        """Raises CorpusError for what cannot be classified."""
        rows = read_corpus(plan.data)
        others = read_corpus(plan.transfer) if plan.transfer else []
        for corpus in filter(None, (others, rows)):
            rotations = downstream.fold_splits([row.fold for row in corpus])
            downstream.check_classes([row.label for row in corpus])
        return Corpora(rows, others, rotations)


def reproduce(plan: Plan, execution: Execution) -> dict[str, Any]:
    """A preset's row: protocol and metrics. Goes on where it was stopped.

    Raises CorpusError, and Stopped when asked to.
    """
    started = time.monotonic()
    chosen = recipe(plan.preset).changed(epochs=plan.epochs, batch_size=plan.batch_size)
    corpora = Corpora.read(plan)
    if not any(row.tags for row in corpora.rows):
        raise CorpusError(f"{plan.data}: expected tags to train on, got none")
    runs: Runs = {}
    trained = 0.0
    for rotation in corpora.rotations:
        embedder, seconds = _trained(plan, chosen, execution, rotation.name)
        trained += seconds
        both = filter(None, (corpora.rows, corpora.others))
        codes = [_codes(plan, embedder, rows) for rows in both]
        results = _heard(plan, corpora, rotation, codes)
        results["us8k-tags"] = _read(plan, corpora.rows, rotation, embedder)
        _add(runs, results)
    made = {
        "recipe": asdict(chosen),
        "mixed_precision": execution.mixed,
        "training_seconds": round(trained, 1),  # in all; the wall time is this call's
    }
    return _row(plan, corpora, runs, started, made)


def baseline(plan: Plan) -> dict[str, Any]:
    """The row of the MFCC statistics, which nothing trains. Raises CorpusError."""
    started = time.monotonic()
    corpora = Corpora.read(plan)
    codes = []
    for rows in filter(None, (corpora.rows, corpora.others)):
        features, failed = clip_features([row.path for row in rows], mfcc_features)
        _refuse(failed)
        codes.append(np.stack([each for each in features if each is not None]))
    runs: Runs = {}
    for rotation in corpora.rotations:
        _add(runs, _heard(plan, corpora, rotation, codes))
    return _row(plan, corpora, runs, started, {})


def _add(runs: Runs, results: dict[str, dict[str, Any]]) -> None:
    for name, result in results.items():
        accuracies = np.array(result["metrics"]["accuracy"]["runs"], dtype=np.float32)
        runs.setdefault(name, []).append(accuracies)


def _row(
    plan: Plan, corpora: Corpora, runs: Runs, started: float, made: dict[str, Any]
) -> dict[str, Any]:
    """Accuracies averaged over the rotations, and every choice made."""
    metrics = {}
    for name, parts in runs.items():
        own = np.mean(parts, axis=0)
        metrics[name] = {"mean": float(own.mean()), "std": float(own.std()), "runs": own.tolist()}
    protocol = {
        "data": plan.data.name,
        "transfer": plan.transfer.name if plan.transfer else None,
        "left_out_in_turn": [rotation.name for rotation in corpora.rotations],
        "by_rotation": {name: [float(each.mean()) for each in own] for name, own in runs.items()},
        "clips": [len(corpora.rows), len(corpora.others)],
        "repeats": plan.repeats,
        "seed": plan.seed,
        "wall_seconds": round(time.monotonic() - started, 1),
    }
    return {"metrics": metrics, "protocol": protocol | made}


def _trained(plan: Plan, chosen: Recipe, execution: Execution, fold: str) -> tuple[Embedder, float]:
    """(the best model by validation loss, trained without a fold; seconds of training)."""
    out = plan.out / f"without-{fold}"
    config, corpus = load_corpus(
        plan.data, preset(plan.preset), chosen, plan.cache, None, plan.seed, without_fold=fold
    )
    trainer = Trainer(config, chosen, corpus, out, seed=plan.seed, execution=execution)
    trainer.resume()
    trainer.fit()
    if trainer.asked_to_stop:
        raise Stopped(f"stopped after training without fold {fold}")
    seconds = sum(row["seconds"] for row in trainer.history)
    return Embedder.load(out, execution.device), seconds


def _codes(plan: Plan, embedder: Embedder, rows: Sequence[ManifestRow]) -> Array:
    """Mean z_a [n, V] of all clips."""
    if not rows:
        return np.zeros((0, embedder.config.code_dim), dtype=np.float32)
    features = prepare([row.path for row in rows], embedder.config.features, plan.cache)
    _refuse(features.failed)
    return clip_codes(embedder, features, range(len(rows)))


def _refuse(failed: dict[str, str]) -> None:
    if failed:
        first = next(iter(failed.values()))
        raise CorpusError(f"clips: expected all to be sounds, {len(failed)} are not: {first}")


def _heard(
    plan: Plan, corpora: Corpora, rotation: Split, codes: Sequence[Array]
) -> dict[str, dict[str, Any]]:
    """Sounds classified: the fold left out, and the second corpus by its own folds."""
    labels = [row.label for row in corpora.rows]
    repeated = {"repeats": plan.repeats, "seed": plan.seed}
    results = {"us8k": downstream.evaluate(codes[0], labels, [rotation], **repeated)}
    if corpora.others:
        labels = [row.label for row in corpora.others]
        folds = downstream.fold_splits([row.fold for row in corpora.others])
        results["transfer"] = downstream.evaluate(codes[1], labels, folds, **repeated)
    return results


def _read(
    plan: Plan, rows: Sequence[ManifestRow], rotation: Split, embedder: Embedder
) -> dict[str, Any]:
    """Tag sets classified: clips of the fold left out that have a known tag."""
    phi, known = tags.tag_vectors(embedder, rows)
    sides = [np.flatnonzero(np.isin(known, side)) for side in (rotation.train, rotation.test)]
    if not all(map(len, sides)):
        raise CorpusError(f"fold {rotation.name}: expected known tags there and in other folds")
    labels = [rows[number].label for number in known.tolist()]
    split = Split(rotation.name, sides[0], sides[1])
    return downstream.evaluate(phi, labels, [split], repeats=plan.repeats, seed=plan.seed)
