"""Calibration of tag scores: the probability of a tag, given its cosine with a sound.

A logistic regression over all pairs of a validation clip and a vocabulary tag, positive where the
clip has the tag; a clip may have several. Its features are the cosine, the level of all of the
sound's cosines (`model.calibration.log_mean_exp`), how often the tag stood in the training clips,
and an offset for each tag.

Offsets are shrunk by cross-validation: sources are left out in turn (grouped folds), and of the
shrinkages whose loss, source by source, is within one standard error of the least, the strongest is
taken. All metrics are those of sources left out. A source of k clips weighs as much as √k of one
clip, in the fit and in the metrics. Letters: n = clips, V = tags, k = features.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.model.calibration import log_mean_exp, sigmoid
from earmark.model.core.arrays import Floats
from earmark.model.core.progress import Progress, progress
from earmark.training.calibration.class_temperature import fit_class_temperature
from earmark.training.calibration.co_occurrence import Folds, fit_co_occurrence
from earmark.training.calibration.hierarchical_logistic import (
    HierarchicalFit,
    fit_hierarchical_logistic,
)
from earmark.training.calibration.thresholds import precision_recall, tag_thresholds
from earmark.training.calibration.validation_set import ValidationSet

SHRINKAGES = (1024.0, 256.0, 64.0, 16.0, 4.0)  # the strongest first
FOLDS = 7
MIN_CARRIERS = 5  # clips that must have a tag for its precision and recall to be stated
BIN_EDGES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)  # of the expected calibration error
METHOD = "logistic regression: cosine, level of the sound's cosines, offset of the tag"

Bools = npt.NDArray[np.bool_]


def fit_platt_scaling(card: dict[str, Any], validation: ValidationSet) -> None:
    """Set `card["calibration"]` to one logistic curve for all tags, quickly (Platt scaling).

    Leaves the card as it is where the validation set is not usable.
    """
    if not validation.usable:
        return
    slope, intercept = _platt_scaling(validation.cosines, validation.has_tag)
    pairs = int(validation.has_tag.size)
    card["calibration"] = {"slope": slope, "intercept": intercept, "pairs": pairs}


def _platt_scaling(cosines: Floats, has_tag: Bools) -> tuple[float, float]:
    """(slope, intercept) of one logistic curve for all pairs."""
    from sklearn.linear_model import LogisticRegression

    regression = LogisticRegression(C=1e6).fit(cosines.reshape(-1, 1), has_tag.ravel())
    return float(regression.coef_[0, 0]), float(regression.intercept_[0])


def fit_calibration(
    card: dict[str, Any], validation: ValidationSet, *, quiet: bool = False
) -> None:
    """Set `card["calibration"]` (as `model.calibration` reads it), `card["class_temperature"]` and
    `card["company"]`, where there are clips to fit them on.

    The same validation set always gives the same card. Leaves the card as it is where the set is
    not usable.
    """
    if not validation.usable:
        return
    temperature = float(card.get("temperature", 0.1))
    features = _features(validation, temperature)
    folds = _source_folds(validation)
    with progress("calibrating", len(folds) * len(SHRINKAGES), "fits", quiet=quiet) as bar:
        fits = [_fit_path(features, validation, train, bar) for train, _ in folds]
    left_out = [
        _left_out_probabilities(features, folds, fold_fits) for fold_fits in zip(*fits, strict=True)
    ]
    chosen = _choose_shrinkage(validation, left_out)
    whole = fit_hierarchical_logistic(
        features, validation.has_tag, validation.weights, SHRINKAGES[chosen]
    )
    probabilities = sigmoid(whole.logits(features))
    cosine, crowd, frequency, constant = whole.shared.tolist()
    intercepts = constant + frequency * _log_counts(validation) + whole.offsets
    rates = (validation.weights @ probabilities) / validation.weights.sum()
    suggested = _left_out_suggestions(features, validation, folds, [path[chosen] for path in fits])
    thresholds = tag_thresholds(probabilities, validation.has_tag, validation.weights)
    card["calibration"] = {
        "method": METHOD,
        "clips": len(probabilities),
        "sources": len(np.unique(validation.sources)),
        "pairs": int(validation.has_tag.size),
        "folds": len(folds),
        "shrinkage": SHRINKAGES[chosen],
        "temperature": temperature,
        "slope": round(cosine, 4),
        "crowd": round(crowd, 4),
        "frequency": round(frequency, 4),
        "intercepts": np.round(intercepts, 4).tolist(),
        "thresholds": _four_digits(thresholds),
        "rates": _four_digits(rates),
        "carriers": validation.has_tag.sum(axis=0).tolist(),
        **_metrics_by_tag(suggested, validation.has_tag),
        **_metrics(validation, folds, left_out[chosen], suggested),
    }
    class_temperature = fit_class_temperature(validation)
    if class_temperature is not None:
        card["class_temperature"] = class_temperature
    card.pop("company", None)  # fitted to the probabilities of the calibration before
    company = fit_co_occurrence(validation, left_out[chosen], folds)
    if company is not None:
        card["company"] = company


def _log_counts(validation: ValidationSet) -> Floats:
    """How often each tag stood in the training clips, ln(1 + count) [V]."""
    return np.asarray(np.log1p(validation.training_counts.astype(np.float64)))


def _features(validation: ValidationSet, temperature: float) -> Floats:
    """The features of each pair [n, V, 4]."""
    cosines = validation.cosines
    parts = (cosines, log_mean_exp(cosines, temperature), _log_counts(validation), np.ones(()))
    return np.stack([np.broadcast_to(part, cosines.shape) for part in parts], axis=-1)


def _source_folds(validation: ValidationSet) -> Folds:
    """(clips to fit, clips left out) of each fold, by whole sources.

    With one source, all clips are on both sides.
    """
    from sklearn.model_selection import GroupKFold

    count = min(FOLDS, len(np.unique(validation.sources)))
    clips = np.arange(len(validation.sources))
    if count < 2:
        return [(clips, clips)]
    return list(GroupKFold(count).split(clips, groups=validation.sources))


def _fit_path(
    features: Floats, validation: ValidationSet, train: npt.NDArray[np.int64], bar: Progress
) -> list[HierarchicalFit]:
    """The fits of some clips with each of SHRINKAGES, each starting from the one before."""
    fits: list[HierarchicalFit] = []
    has_tag, weights = validation.has_tag[train], validation.weights[train]
    for shrinkage in SHRINKAGES:
        start = fits[-1] if fits else None
        fits.append(fit_hierarchical_logistic(features[train], has_tag, weights, shrinkage, start))
        bar.step()
    return fits


def _left_out_probabilities(
    features: Floats, folds: Folds, fits: Sequence[HierarchicalFit]
) -> Floats:
    """Probabilities [n, V], each by the fold's fit that did not see the clip."""
    probabilities = np.zeros(features.shape[:2])
    for (_, left_out), fit in zip(folds, fits, strict=True):
        probabilities[left_out] = sigmoid(fit.logits(features[left_out]))
    return probabilities


def _clip_losses(probabilities: Floats, has_tag: Bools) -> Floats:
    """−log probability of each clip's tags, present and absent, [n], nats."""
    right = np.where(has_tag, probabilities, 1 - probabilities)
    return np.asarray(-np.log(np.maximum(right, 1e-12)).sum(axis=1))


def _choose_shrinkage(validation: ValidationSet, left_out: Sequence[Floats]) -> int:
    """Index into SHRINKAGES: the strongest within a standard error, over sources, of the best."""
    sources, source, sizes = np.unique(validation.sources, return_inverse=True, return_counts=True)
    losses = np.array(
        [
            np.bincount(source, weights=_clip_losses(probabilities, validation.has_tag)) / sizes
            for probabilities in left_out
        ]
    )
    best = int(losses.mean(axis=1).argmin())
    for index in range(best):
        excess = losses[index] - losses[best]
        error = excess.std(ddof=1) / np.sqrt(len(sources)) if len(sources) > 1 else 0.0
        if excess.mean() <= error:
            return index
    return best


def _left_out_suggestions(
    features: Floats, validation: ValidationSet, folds: Folds, fits: Sequence[HierarchicalFit]
) -> Bools:
    """Which tags fits and thresholds that did not see the clip would suggest, [n, V]."""
    suggested = np.zeros(features.shape[:2], dtype=np.bool_)
    for (train, left_out), fit in zip(folds, fits, strict=True):
        probabilities = sigmoid(fit.logits(features))
        thresholds = tag_thresholds(
            probabilities[train], validation.has_tag[train], validation.weights[train]
        )
        suggested[left_out] = probabilities[left_out] >= thresholds
    return suggested


def _metrics_by_tag(suggested: Bools, has_tag: Bools) -> dict[str, list[float | None]]:
    """Precision and recall of each tag; None where too few clips have it."""
    stated = has_tag.sum(axis=0) >= MIN_CARRIERS
    metrics = zip(("precision", "recall"), precision_recall(suggested, has_tag), strict=True)
    return {
        name: [
            round(value, 3) if enough and np.isfinite(value) else None
            for value, enough in zip(values.tolist(), stated.tolist(), strict=True)
        ]
        for name, values in metrics
    }


def _metrics(
    validation: ValidationSet, folds: Folds, after: Floats, suggested: Bools
) -> dict[str, Any]:
    """The card's metrics on sources left out; "before" is one curve for all tags."""
    has_tag, before = validation.has_tag, np.zeros_like(after)
    for train, left_out in folds:
        if has_tag[train].any() and not has_tag[train].all():
            slope, intercept = _platt_scaling(validation.cosines[train], has_tag[train])
            before[left_out] = sigmoid(slope * validation.cosines[left_out] + intercept)
    fits, weights = {"before": before, "after": after}, validation.weights
    clip_weights = weights[:, None]
    hits, predicted, positive = (
        float((clip_weights * pairs).sum()) for pairs in (suggested & has_tag, suggested, has_tag)
    )
    return {
        "log_loss": {
            name: round(float(np.average(_clip_losses(fit, has_tag), weights=weights)), 4)
            for name, fit in fits.items()
        },
        "ece": {
            name: _three_digits(expected_calibration_error(fit, has_tag, weights))
            for name, fit in fits.items()
        },
        "reliability": reliability_bins(after, has_tag, weights),
        "suggesting": {
            "precision": round(hits / predicted if predicted else 0.0, 4),
            "recall": round(hits / positive, 4),
            "f1": round(2 * hits / (predicted + positive), 4),
            "tags_per_clip": round(predicted / float(weights.sum()), 2),
        },
    }


def reliability_bins(
    probabilities: Floats, has_tag: Bools, weights: Floats
) -> list[dict[str, float]]:
    """Of each bin that has pairs: their number, mean probability, and share that is positive.

    `weights` [n] weigh the clips in both means.
    """
    bins = np.digitize(probabilities, BIN_EDGES[1:-1])
    pair_weights = np.repeat(weights, probabilities.shape[1])
    rows = []
    for number, (low, high) in enumerate(pairwise(BIN_EDGES)):
        inside = (bins == number).ravel()
        if inside.any():
            stated, positive = (
                float(np.average(pairs.ravel()[inside], weights=pair_weights[inside]))
                for pairs in (probabilities, has_tag)
            )
            row = {"from": low, "to": high, "pairs": int(inside.sum())}
            means = {"stated": _three_digits(stated), "carried": _three_digits(positive)}
            rows.append(row | means)
    return rows


def expected_calibration_error(probabilities: Floats, has_tag: Bools, weights: Floats) -> float:
    """ECE: |mean probability − share that is positive| of each bin, weighted by its pairs."""
    bins = np.digitize(probabilities, BIN_EDGES[1:-1]).ravel()
    gaps = np.bincount(bins, weights=(weights[:, None] * (probabilities - has_tag)).ravel())
    return float(np.abs(gaps).sum() / (weights.sum() * probabilities.shape[1]))


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")


def _four_digits(values: Floats) -> list[float]:
    return [float(f"{value:.4g}") for value in values.tolist()]
