"""Which tags of a corpus are likely wrong or missing: confident learning on frozen codes.

C. Northcutt, L. Jiang, I. Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels.
JAIR 70 (2021). Each tag is a question of its own, yes or no. A logistic regression on the clips'
codes answers it for the clips of each fold, fitted on other groups. A clip is confidently of an
answer where that is at least as probable as it is on average where it is given (their threshold
t_j); a suspect is confidently of the other answer than the one given, and of both, more probably
of the other. cleanlab does the same; it is an extra with pandas for the ten lines of `suspected`.

Two things are ours. A tag that the regression cannot tell is not judged. And the confidence that a
given tag is wrong is 1 / (1 + r), where r = odds of its probability / odds of the tag's share: the
probability itself is next to nothing for a rare tag, whatever is heard.

The codes come from a model that has learnt the very tags that are judged, so it excuses some wrong
ones; the groups left out are left out of the regression only. Letters: n = clips, V = size of a
code, T = tags judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import joblib
import numpy as np
import numpy.typing as npt

from earmark.model.core.arrays import Array, Floats
from earmark.model.core.progress import progress
from earmark.training.errors import CorpusError

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

MIN_CLIPS = 20  # that carry a tag, for it to be judged
MIN_GROUPS = 4
TOLD = 0.8  # area under the ROC curve, out of fold, from which a tag can be told
STRENGTH = 0.01  # C of the regression: on 12,351 clips, 0.003 and 0.1 are worse out of fold


@dataclass(frozen=True)
class Judged:
    """Of the tags that can be told: `probable` [n, T], out of fold, NaN where a fold's other side
    did not know the tag; `carried` [n, T]. `untold`: tags with clips enough, but not heard.
    """

    tags: list[str]
    probable: Floats
    carried: Bools
    untold: list[str]


def frequent_tags(tag_sets: Sequence[Sequence[str]], groups: Sequence[str]) -> list[str]:
    """Tags that enough clips of enough groups carry, and as many do not, in alphabetical order."""
    clips = Counter(tag for tags in tag_sets for tag in set(tags))
    owners: dict[str, set[str]] = {}
    for tags, group in zip(tag_sets, groups, strict=True):
        for tag in tags:
            owners.setdefault(tag, set()).add(group)
    most = len(tag_sets) - MIN_CLIPS
    return sorted(
        tag
        for tag, count in clips.items()
        if MIN_CLIPS <= count <= most and len(owners[tag]) >= MIN_GROUPS
    )


def judge(
    codes: Array,
    tag_sets: Sequence[Sequence[str]],
    groups: Sequence[str],
    folds: int,
) -> Judged:
    """Codes [n, V] and the clips' clean tags → how probable each frequent tag is, out of fold.

    The same clips always give the same. Raises CorpusError where there is nothing to judge.
    """
    tags = frequent_tags(tag_sets, groups)
    if not tags:
        raise CorpusError(
            f"suspects: expected a tag of {MIN_CLIPS} clips in {MIN_GROUPS} groups, got none"
        )
    carried = np.array([[tag in own for tag in tags] for own in map(set, tag_sets)])
    probable = out_of_fold(codes, carried, np.unique(groups, return_inverse=True)[1], folds)
    told = np.array(
        [_area(*pair) >= TOLD for pair in zip(probable.T, carried.T, strict=True)], dtype=np.bool_
    )
    return Judged(
        [tag for tag, there in zip(tags, told, strict=True) if there],
        probable[:, told],
        carried[:, told],
        [tag for tag, there in zip(tags, told, strict=True) if not there],
    )


def out_of_fold(codes: Array, carried: Bools, groups: Ints, folds: int) -> Floats:
    """Probabilities [n, T], each by a regression that saw no clip of the clip's group [n].

    NaN where the other groups have the tag on all clips or on none.
    """
    from sklearn.model_selection import GroupKFold
    from threadpoolctl import threadpool_limits

    probable = np.full(carried.shape, np.nan)
    count = min(folds, len(np.unique(groups)))
    with progress("judging tags", count * carried.shape[1], "fits") as shown:
        for train, test in GroupKFold(count).split(codes, groups=groups):
            mean, spread = codes[train].mean(axis=0), codes[train].std(axis=0)
            scaled = (codes - mean) / np.where(spread > 0, spread, 1)
            known, unknown = scaled[train], scaled[test]
            jobs = [joblib.delayed(_fitted)(known, own, unknown) for own in carried[train].T]
            # Threads share the codes, and linear algebra lets them run beside each other.
            run = joblib.Parallel(n_jobs=-1, prefer="threads", return_as="generator")
            with threadpool_limits(limits=1):
                for column, found in enumerate(run(jobs)):
                    probable[test, column] = found
                    shown.step()
    return probable


def _fitted(known: Array, carried: Bools, unknown: Array) -> Floats:
    """Probabilities of unknown clips by a fit of known ones."""
    from sklearn.linear_model import LogisticRegression

    if carried.all() or not carried.any():
        return np.full(len(unknown), np.nan)
    made = LogisticRegression(C=STRENGTH, solver="newton-cholesky").fit(known, carried)
    return np.asarray(made.predict_proba(unknown)[:, 1], dtype=np.float64)


def _area(probable: Floats, carried: Bools) -> float:
    """Area under the ROC curve where probabilities are known; 0 where it says nothing."""
    from sklearn.metrics import roc_auc_score

    known = np.isfinite(probable)
    own = carried[known]
    if own.all() or not own.any():
        return 0.0
    return float(roc_auc_score(own, probable[known]))


def suspected(probable: Floats, carried: Bools) -> tuple[Bools, Bools]:
    """(wrong, missing), both [n]: the confident-learning rule for one tag.

    `probable` [n] may have NaN: those are no suspects.
    """
    known = np.isfinite(probable)
    yes = np.where(known, probable, 0.5)
    wrong, missing = np.zeros_like(carried), np.zeros_like(carried)
    if (known & carried).any() and (known & ~carried).any():
        is_yes = known & (yes >= yes[known & carried].mean())
        is_no = known & (1 - yes >= (1 - yes)[known & ~carried].mean())
        wrong = carried & is_no & (~is_yes | (yes < 0.5))
        missing = ~carried & is_yes & (~is_no | (yes > 0.5))
    return wrong, missing


def doubt(probable: Floats, share: float) -> Floats:
    """How confident it is [n] that a given tag is wrong, the tag being on such a share of clips."""
    odds = np.clip(probable, 1e-9, 1 - 1e-9)
    ratio = odds / (1 - odds) / (share / (1 - share))
    return np.asarray(1 / (1 + ratio), dtype=np.float64)
