"""Tasks `us8k`, `esc50`, `gtzan`, `nsynth`: classify sounds by frozen features (paper §3.2).

Features: z_a averaged over a clip's windows, or the MFCC baseline's statistics. Splits: the given
folds, each testing once (UrbanSound8K, ESC-50), or the given train and test lists (GTZAN, NSynth).
The classifier is that of `training.evaluation.downstream`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earmark.model.core.arrays import Array
from earmark.model.core.errors import AudioError
from earmark.model.core.manifest import ManifestRow
from earmark.model.core.progress import progress
from earmark.model.embedder import Embedder
from earmark.training.errors import CorpusError
from earmark.training.evaluation import downstream
from earmark.training.evaluation.mfcc_baseline import mfcc_features

FOLD_TASKS = ("us8k", "esc50")


def evaluate(
    task: str,
    embedder: Embedder | None,
    rows: Sequence[ManifestRow],
    *,
    repeats: int,
    seed: int,
) -> dict[str, Any]:
    """The task's result; `embedder` None is the MFCC baseline. Raises CorpusError."""
    make_splits = downstream.fold_splits if task in FOLD_TASKS else downstream.given_split
    assigned = [row.fold if task in FOLD_TASKS else row.split for row in rows]
    make_splits(assigned)  # a bad corpus is refused before the long work
    if any(not row.label for row in rows):
        raise CorpusError(f"{task}: expected a class for every clip")
    downstream.check_classes([row.label for row in rows])

    extract = mfcc_features if embedder is None else _code_extractor(embedder)
    features, failed = extract_features([row.path for row in rows], extract)
    usable = [index for index, clip in enumerate(features) if clip is not None]
    result = downstream.evaluate(
        np.stack([clip for clip in features if clip is not None]),
        [rows[index].label for index in usable],
        make_splits([assigned[index] for index in usable]),
        repeats=repeats,
        seed=seed,
    )
    result["protocol"] |= {
        "features": "MFCC, Δ, ΔΔ: mean and deviation" if embedder is None else "mean z_a",
        "failed": failed,
    }
    return result


def _code_extractor(embedder: Embedder) -> Callable[[Path], Array]:
    return lambda path: embedder.embed_audio(path, path.name).code


def extract_features(
    paths: Sequence[Path], extract: Callable[[Path], Array]
) -> tuple[list[Array | None], dict[str, str]]:
    """(features of each clip, None for unreadable ones; the reasons of those by path).

    Raises CorpusError when none is readable.
    """
    failed: dict[str, str] = {}

    def attempt(path: Path) -> Array | None:
        try:
            return extract(path)
        except AudioError as error:
            failed[str(path)] = str(error)
            return None

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the pool's threads share the cores
    features: list[Array | None] = []
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool, progress("features", len(paths)) as bar:
            for clip in pool.map(attempt, paths):
                features.append(clip)
                bar.step()
    finally:
        torch.set_num_threads(threads)
    if all(clip is None for clip in features):
        raise CorpusError(f"none of {len(paths)} clips can be read: {next(iter(failed.values()))}")
    return features, failed
