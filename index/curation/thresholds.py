"""Thresholds of suggested tags, which learn from verdicts.

A tag's suggestions wait for somebody's word from its threshold on: at first the probability that
the model's calibration states (`start`). Verdicts move it to where about half of the suggestions
would be accepted. Of a suggestion with probability p,

    logit P(accepted) = logit p − logit start + b

with one b for each tag: 0 in the mean before anything is known, with a standard deviation of
SPREAD; then the one that is most probable given the verdicts. The threshold is where
P(accepted) = 1/2: logit threshold = logit start − b. An accepted suggestion never raises it, and a
rejected one never lowers it; a few verdicts move it little.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

import numpy as np

from earmark.model.calibration import sigmoid
from earmark.model.core.arrays import Floats

SPREAD = 0.5  # in logits
LOWER, HIGHER = 1.0, 6.0  # how far a threshold moves at most, in logits
STEPS = 40  # of bisection: exact to 1e-11
MAX_VERDICTS = 2_000  # of a tag, the last ones: learning takes no longer than that

_CERTAIN = 1e-6


def logit(probabilities: Floats) -> Floats:
    """log(p / (1 − p)), of probabilities not quite 0 or 1."""
    inner = np.clip(np.asarray(probabilities, np.float64), _CERTAIN, 1 - _CERTAIN)
    return np.asarray(np.log(inner / (1 - inner)))


def lowest(start: Floats) -> Floats:
    """The lowest that thresholds can become: suggestions below need not be kept."""
    return sigmoid(logit(start) - LOWER)


def learned_threshold(start: float, probabilities: Floats, accepted: Floats) -> float:
    """A tag's threshold after verdicts on suggestions with these probabilities [n], 1 where they
    were accepted and 0 where they were rejected [n]."""
    if not len(probabilities):
        return start
    origin = logit(np.array(start))
    offsets, verdicts = logit(probabilities) - origin, np.asarray(accepted, np.float64)
    low, high = -HIGHER, LOWER
    for _ in range(STEPS):  # the slope of the logarithm of the posterior falls with b
        b = (low + high) / 2
        slope = float((verdicts - sigmoid(offsets + b)).sum()) - b / SPREAD**2
        low, high = (b, high) if slope > 0 else (low, b)
    return float(sigmoid(origin - (low + high) / 2))


def relearn(db: sqlite3.Connection, model: str, keys: Iterable[str]) -> None:
    """Learn the thresholds of the tags with these keys anew, in the caller's transaction.

    `model`: whose suggestions count, as probabilities of others say something else.
    """
    listed = json.dumps(sorted(set(keys)))
    tags = db.execute(
        "SELECT number, key, start FROM suggested_tags "
        "WHERE key IN (SELECT key FROM verdicts WHERE latest AND key IN "
        "(SELECT value FROM json_each(?)))",
        (listed,),
    ).fetchall()
    for number, key, start in tags:
        verdicts = db.execute(
            "SELECT probability, verdict = 'accept' FROM verdicts WHERE latest AND key = ? "
            "AND verdict != 'undecided' AND probability IS NOT NULL AND model = ? "
            "ORDER BY number DESC LIMIT ?",
            (key, model, MAX_VERDICTS),
        ).fetchall()
        probabilities, accepted = np.array(verdicts, np.float64).reshape(-1, 2).T
        threshold = learned_threshold(start, probabilities, accepted)
        db.execute("UPDATE suggested_tags SET threshold = ? WHERE number = ?", (threshold, number))
