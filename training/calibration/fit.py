"""Calibration of tag scores: how probable a tag is, given its cosine with a sound.

A logistic regression over all pairs of a validation clip and a vocabulary tag, true where the
clip carries the tag; several can be true. It sees the cosine, how high all cosines of the sound are
(`model.calibration.log_mean_exp`), how often the tag stood in the training clips, and an offset for
each tag, shrunk as strongly as the validation sources call for: sources are left out in turn
(grouped folds), and of the shrinkages whose loss, source by source, is within one standard error
of the least, the strongest is taken. All figures are those of sources left out. A source of k
clips weighs as much as √k of one clip, in the fit and in the figures. Letters: n = clips, V = tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.model.calibration import log_mean_exp, sigmoid
from earmark.model.core.arrays import Floats
from earmark.model.core.progress import Progress, progress
from earmark.training.calibration.class_temperature import fit_class_temperature
from earmark.training.calibration.co_occurrence import fit_company
from earmark.training.calibration.hierarchical_logistic import Fit, fit
from earmark.training.calibration.thresholds import found, tag_thresholds
from earmark.training.calibration.validation_set import Evidence

SHRINKAGES = (1024.0, 256.0, 64.0, 16.0, 4.0)  # the strongest first
FOLDS = 7
MIN_CARRIERS = 5  # clips that must carry a tag for its precision and recall to be stated
EDGES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)  # of the bins of ECE
METHOD = "logistic regression: cosine, level of the sound's cosines, offset of the tag"

Bools = npt.NDArray[np.bool_]


def fit_one_curve(card: dict[str, Any], evidence: Evidence) -> None:
    """Set `card["calibration"]` to one curve for all tags, quickly (Platt scaling).

    Untouched where no tag is carried, or all are.
    """
    if not evidence.usable:
        return
    slope, intercept = _one_curve(evidence.cosines, evidence.carried)
    pairs = int(evidence.carried.size)
    card["calibration"] = {"slope": slope, "intercept": intercept, "pairs": pairs}


def _one_curve(cosines: Floats, carried: Bools) -> tuple[float, float]:
    from sklearn.linear_model import LogisticRegression

    made = LogisticRegression(C=1e6).fit(cosines.reshape(-1, 1), carried.ravel())
    return float(made.coef_[0, 0]), float(made.intercept_[0])


def fit_calibration(card: dict[str, Any], evidence: Evidence, *, quiet: bool = False) -> None:
    """Set `card["calibration"]` (as `model.calibration` reads it), `card["class_temperature"]` and
    `card["company"]`, where there is what they are fitted on.

    The same evidence always gives the same. Untouched where no tag is carried, or all are.
    """
    if not evidence.usable:
        return
    temperature = float(card.get("temperature", 0.1))
    features = _features(evidence, temperature)
    folds = list(_folds(evidence))
    with progress("calibrating", len(folds) * len(SHRINKAGES), "fits", quiet=quiet) as shown:
        fits = [_path(features, evidence, train, shown) for train, _ in folds]
    held_out = [_held_out(features, folds, each) for each in zip(*fits, strict=True)]
    chosen = _strongest(evidence, held_out)
    whole = fit(features, evidence.carried, evidence.weights, SHRINKAGES[chosen])
    probable = sigmoid(whole.logits(features))
    cosine, crowd, frequency, constant = whole.shared.tolist()
    intercepts = constant + frequency * _log_counts(evidence) + whole.offsets
    rates = (evidence.weights @ probable) / evidence.weights.sum()
    suggested = _suggested(features, evidence, folds, [each[chosen] for each in fits])
    card["calibration"] = {
        "method": METHOD,
        "clips": len(probable),
        "sources": len(np.unique(evidence.sources)),
        "pairs": int(evidence.carried.size),
        "folds": len(folds),
        "shrinkage": SHRINKAGES[chosen],
        "temperature": temperature,
        "slope": round(cosine, 4),
        "crowd": round(crowd, 4),
        "frequency": round(frequency, 4),
        "intercepts": np.round(intercepts, 4).tolist(),
        "thresholds": _short(tag_thresholds(probable, evidence.carried, evidence.weights)),
        "rates": _short(rates),
        "carriers": evidence.carried.sum(axis=0).tolist(),
        **_by_tag(suggested, evidence.carried),
        **_figures(evidence, folds, held_out[chosen], suggested),
    }
    class_temperature = fit_class_temperature(evidence)
    if class_temperature is not None:
        card["class_temperature"] = class_temperature
    card.pop("company", None)  # it goes with the probabilities that were stated before
    company = fit_company(evidence, held_out[chosen], folds)
    if company is not None:
        card["company"] = company


def _log_counts(evidence: Evidence) -> Floats:
    return np.log1p(evidence.counts.astype(np.float64))


def _features(evidence: Evidence, temperature: float) -> Floats:
    """What the regression sees of each pair [n, V, 4]."""
    cosines = evidence.cosines
    parts = (cosines, log_mean_exp(cosines, temperature), _log_counts(evidence), np.ones(()))
    return np.stack([np.broadcast_to(part, cosines.shape) for part in parts], axis=-1)


def _folds(evidence: Evidence) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """(clips that fit, clips left out), whole sources each; of one source, all are both."""
    from sklearn.model_selection import GroupKFold

    count = min(FOLDS, len(np.unique(evidence.sources)))
    everything = np.arange(len(evidence.sources))
    if count < 2:
        yield everything, everything
        return
    yield from GroupKFold(count).split(everything, groups=evidence.sources)


def _path(
    features: Floats, evidence: Evidence, train: npt.NDArray[np.int64], shown: Progress
) -> list[Fit]:
    """The fit of some clips with each of SHRINKAGES, each from the one before."""
    fits: list[Fit] = []
    weights = evidence.weights[train]
    for shrinkage in SHRINKAGES:
        before = fits[-1] if fits else None
        fits.append(fit(features[train], evidence.carried[train], weights, shrinkage, before))
        shown.step()
    return fits


def _held_out(
    features: Floats,
    folds: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    fits: Sequence[Fit],
) -> Floats:
    """Probabilities [n, V], each by the fold's fit that did not see the clip."""
    probable = np.zeros(features.shape[:2])
    for (_, out), own in zip(folds, fits, strict=True):
        probable[out] = sigmoid(own.logits(features[out]))
    return probable


def _losses(probable: Floats, carried: Bools) -> Floats:
    """-log probability of each clip's tags, those it carries and those it does not [n], nats."""
    right = np.where(carried, probable, 1 - probable)
    return np.asarray(-np.log(np.maximum(right, 1e-12)).sum(axis=1))


def _strongest(evidence: Evidence, held_out: Sequence[Floats]) -> int:
    """Which of SHRINKAGES: the strongest within a standard error, over sources, of the best."""
    sources, own, sizes = np.unique(evidence.sources, return_inverse=True, return_counts=True)
    losses = np.array(
        [np.bincount(own, weights=_losses(each, evidence.carried)) / sizes for each in held_out]
    )
    best = int(losses.mean(axis=1).argmin())
    for number in range(best):
        excess = losses[number] - losses[best]
        error = excess.std(ddof=1) / np.sqrt(len(sources)) if len(sources) > 1 else 0.0
        if excess.mean() <= error:
            return number
    return best


def _suggested(
    features: Floats,
    evidence: Evidence,
    folds: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    fits: Sequence[Fit],
) -> Bools:
    """What would be suggested [n, V] by fits and thresholds that did not see the clip."""
    suggested = np.zeros(features.shape[:2], dtype=np.bool_)
    for (train, out), own in zip(folds, fits, strict=True):
        probable = sigmoid(own.logits(features))
        thresholds = tag_thresholds(
            probable[train], evidence.carried[train], evidence.weights[train]
        )
        suggested[out] = probable[out] >= thresholds
    return suggested


def _by_tag(suggested: Bools, carried: Bools) -> dict[str, list[float | None]]:
    """Precision and recall of each tag, None where too few clips carry it."""
    known = carried.sum(axis=0) >= MIN_CARRIERS
    return {
        name: [
            round(value, 3) if there and np.isfinite(value) else None
            for value, there in zip(values.tolist(), known.tolist(), strict=True)
        ]
        for name, values in zip(("precision", "recall"), found(suggested, carried), strict=True)
    }


def _figures(
    evidence: Evidence,
    folds: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    after: Floats,
    suggested: Bools,
) -> dict[str, Any]:
    """What the card says of the sources left out; before: one curve for all tags."""
    carried, before = evidence.carried, np.zeros_like(after)
    for train, out in folds:
        if carried[train].any() and not carried[train].all():
            slope, intercept = _one_curve(evidence.cosines[train], carried[train])
            before[out] = sigmoid(slope * evidence.cosines[out] + intercept)
    sides, weights = {"before": before, "after": after}, evidence.weights
    each = weights[:, None]
    hits, given, true = (
        float((each * pairs).sum()) for pairs in (suggested & carried, suggested, carried)
    )
    return {
        "log_loss": {
            name: round(float(np.average(_losses(side, carried), weights=weights)), 4)
            for name, side in sides.items()
        },
        "ece": {name: _rounded(ece(side, carried, weights)) for name, side in sides.items()},
        "reliability": reliability(after, carried, weights),
        "suggesting": {
            "precision": round(hits / given if given else 0.0, 4),
            "recall": round(hits / true, 4),
            "f1": round(2 * hits / (given + true), 4),
            "tags_per_clip": round(given / float(weights.sum()), 2),
        },
    }


def reliability(probable: Floats, carried: Bools, weights: Floats) -> list[dict[str, float]]:
    """Of each bin of EDGES that has pairs: their number, mean probability, share carried.

    Clips count by `weights` [n] in the means.
    """
    bins, each = np.digitize(probable, EDGES[1:-1]), np.repeat(weights, probable.shape[1])
    rows = []
    for number, (low, high) in enumerate(pairwise(EDGES)):
        inside = (bins == number).ravel()
        if inside.any():
            stated, true = (
                float(np.average(of.ravel()[inside], weights=each[inside]))
                for of in (probable, carried)
            )
            row = {"from": low, "to": high, "pairs": int(inside.sum())}
            rows.append(row | {"stated": _rounded(stated), "carried": _rounded(true)})
    return rows


def ece(probable: Floats, carried: Bools, weights: Floats) -> float:
    """Expected calibration error: |stated - carried| of the bins of EDGES, over all pairs."""
    bins = np.digitize(probable, EDGES[1:-1]).ravel()
    gaps = np.bincount(bins, weights=(weights[:, None] * (probable - carried)).ravel())
    return float(np.abs(gaps).sum() / (weights.sum() * probable.shape[1]))


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _short(values: Floats) -> list[float]:
    """With four digits each: a card is text."""
    return [float(f"{value:.4g}") for value in values.tolist()]
