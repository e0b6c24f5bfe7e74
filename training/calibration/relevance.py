"""Fits how probable it is that a hit of a search is right (`model.relevance`).

Two logistic regressions: what is heard, over hits whose words are unknown; then, on top of it, what
is read, over hits that hold words of the query. Both are fitted on searches for held-out clips
(`held_out_searches`). The figures on the card are of libraries of sources left out of the fit.
Letters: m = hits, k = features.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from earmark.model.calibration import sigmoid
from earmark.model.core.arrays import Floats
from earmark.model.core.progress import progress
from earmark.model.embedder import Embedder
from earmark.model.relevance import RelevanceCurve
from earmark.training.calibration.held_out_searches import (
    SIZES,
    Bools,
    Hits,
    Integers,
    draw_hits,
    sound_searches,
    word_searches,
)
from earmark.training.calibration.validation_set import ValidationSet

FOLDS = 5
MIN_CLIPS, MIN_SOURCES = 100, 10  # fewer tell nothing of other libraries
LIBRARIES, LEFT_OUT_LIBRARIES = 40, 20  # drawn to fit on, and of each fold's left-out sources
RIDGE = 1e-2
MAX_STEPS, MIN_STEP = 60, 1e-7
BIN_EDGES = np.linspace(0, 1, 11)
SEED = 0


def fit_relevance(
    card: dict[str, Any], embedder: Embedder, validation: ValidationSet, *, quiet: bool = False
) -> None:
    """Set `card["relevance"]`, where there are clips to fit it on; else remove it.

    The same validation set always gives the same card.
    """
    card.pop("relevance", None)
    sources = len(np.unique(validation.sources))
    if validation.vectors is None or len(validation.vectors) < MIN_CLIPS or sources < MIN_SOURCES:
        return
    generator = np.random.default_rng(SEED)
    searches = {
        "words": word_searches(embedder, validation, generator),
        "sounds": sound_searches(embedder, validation),
    }
    with progress("searching", 2 * (1 + FOLDS), "fits", quiet=quiet) as bar:
        curves: dict[str, Any] = {}
        for kind, of_kind in searches.items():
            rows = []
            for train, left_out in _folds(validation, generator):
                fitted = fit_curve(draw_hits(of_kind, train, LIBRARIES // 2, generator))
                hits = draw_hits(of_kind, left_out, LEFT_OUT_LIBRARIES, generator)
                if fitted is not None and len(hits.right):
                    rows.append((probabilities(fitted, hits), hits.right, hits.held))
                bar.step()
            everything = np.arange(len(validation.vectors))
            whole = fit_curve(draw_hits(of_kind, everything, LIBRARIES, generator))
            bar.step()
            if whole is None or not rows:
                return
            columns = (np.concatenate(column) for column in zip(*rows, strict=True))
            curves[kind] = {**_rounded(whole), **_figures(*columns)}
    card["relevance"] = {"sources": sources, **curves}


def fit_curve(hits: Hits) -> RelevanceCurve | None:
    """The curve of these hits; None where all are right, or all wrong."""
    unread = hits.held == 0
    heard = hits.select(unread)
    if heard.right.all() or not heard.right.any():
        return None
    smallest, largest = int(hits.clips.min()), min(int(hits.clips.max()), SIZES[-1])
    features = np.stack(
        [heard.cosines, heard.standard, np.log(heard.clips), np.ones(len(heard.right))], axis=1
    )
    cosine, standard, size, intercept = fit_logistic(
        features, heard.right, np.zeros(len(heard.right))
    ).tolist()
    curve = RelevanceCurve(cosine, standard, size, intercept, (0, 0, 0, 0), (smallest, largest))
    read = hits.select(~unread)
    if not len(read.right) or read.right.all() or not read.right.any():
        return curve
    offset = logit(probabilities(curve, read))
    h = read.held
    w0, w1, w2, w3 = fit_logistic(
        np.stack([h, h * h, h * offset, h * h * offset], axis=1), read.right, offset
    ).tolist()
    return replace(curve, words=(w0, w1, w2, w3))


def logit(probability: Floats) -> Floats:
    """ln(p / (1 - p))."""
    return np.asarray(np.log(probability) - np.log1p(-probability), dtype=np.float64)


def fit_logistic(features: Floats, right: Bools, offset: Floats) -> Floats:
    """Coefficients [k] of features [m, k] by Newton's method, with an offset of each logit [m]."""
    scale = np.maximum(features.std(axis=0), 1e-9)
    scale[features.std(axis=0) == 0] = 1.0
    scaled, coefficients = features / scale, np.zeros(features.shape[1])

    def cost(point: Floats) -> float:
        logits = scaled @ point + offset
        loss = (np.logaddexp(0, logits) - right * logits).sum()
        return float(loss + 0.5 * RIDGE * (point**2).sum())

    for _ in range(MAX_STEPS):
        stated = sigmoid(scaled @ coefficients + offset)
        gradient = scaled.T @ (stated - right) + RIDGE * coefficients
        curvature = (scaled * (stated * (1 - stated))[:, None]).T @ scaled
        step = np.linalg.solve(curvature + RIDGE * np.eye(len(coefficients)), gradient)
        size, before = 1.0, cost(coefficients)
        while cost(coefficients - size * step) > before and size > MIN_STEP:
            size /= 2
        coefficients = coefficients - size * step
        if np.abs(size * step).max() < MIN_STEP:
            break
    return np.asarray(coefficients / scale, dtype=np.float64)


def probabilities(curve: RelevanceCurve, hits: Hits) -> Floats:
    """Of hits [m]."""
    return curve.probabilities(hits.cosines, hits.standard, hits.clips, hits.held)


def reliability(stated: Floats, right: Bools) -> list[dict[str, float]]:
    """Of each tenth of the probabilities that has hits: their number, mean probability, and the
    share that is right."""
    bins = np.digitize(stated, BIN_EDGES[1:-1])
    return [
        {
            "from": round(float(BIN_EDGES[number]), 1),
            "hits": int((bins == number).sum()),
            "stated": round(float(stated[bins == number].mean()), 3),
            "right": round(float(right[bins == number].mean()), 3),
        }
        for number in np.unique(bins).tolist()
    ]


def expected_calibration_error(stated: Floats, right: Bools) -> float:
    """|mean probability − share that is right| of each tenth, weighted by its hits."""
    bins = np.digitize(stated, BIN_EDGES[1:-1])
    return float(np.abs(np.bincount(bins, weights=stated - right)).sum() / len(stated))


def _figures(stated: Floats, right: Bools, held: Floats) -> dict[str, Any]:
    """What the card states of hits of sources left out."""
    parts = {"unread": held == 0, "read": held > 0}
    return {
        "hits": len(right),
        "ece": round(expected_calibration_error(stated, right), 4),
        "ece_by_part": {
            name: round(expected_calibration_error(stated[part], right[part]), 4)
            for name, part in parts.items()
            if part.any()
        },
        "reliability": reliability(stated, right),
    }


def _rounded(curve: RelevanceCurve) -> dict[str, Any]:
    return {
        "cosine": round(curve.cosine, 4),
        "standard": round(curve.standard, 4),
        "size": round(curve.size, 4),
        "intercept": round(curve.intercept, 4),
        "words": [round(word, 4) for word in curve.words],
        "clips": list(curve.clips),
    }


def _folds(
    validation: ValidationSet, generator: np.random.Generator
) -> list[tuple[Integers, Integers]]:
    """(clips to fit on, clips left out) of each fold, by whole sources."""
    sources = generator.permutation(np.unique(validation.sources))
    folds = np.array_split(sources, FOLDS)
    return [
        (
            np.flatnonzero(~np.isin(validation.sources, fold)),
            np.flatnonzero(np.isin(validation.sources, fold)),
        )
        for fold in folds
    ]
