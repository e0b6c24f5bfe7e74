"""Finds a corpus's likely wrong and missing tags: confident learning on frozen codes.

C. Northcutt, L. Jiang, I. Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels.
JAIR 70 (2021). Each tag is a binary problem. A logistic regression on the clips' codes, fitted on
other groups, predicts the tag for the clips of each fold. The threshold t_j of an answer is the
mean of its predicted probability over the clips with that answer; a clip is confidently of an
answer from its threshold on. A clip is a suspect when it is confidently of the answer that it does
not have and, if confidently of both, more probably of that one. cleanlab implements the same; its
dependency on pandas is too much for the ten lines of `find_label_errors`.

Two things are ours. Tags that the regression cannot predict are not assessed. And the confidence
that a tag is wrong is 1 / (1 + r), where r = odds of the predicted probability / odds of the tag's
share of clips: the probability itself is near 0 for every rare tag.

The codes come from a model that was trained on the same tags, so labels that it has memorised are
not flagged: the groups left out are left out of the regression only. Letters: n = clips, V = size
of a code, T = assessed tags.
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

MIN_TAG_CLIPS = 20  # that have the tag, and that do not, for it to be assessed
MIN_TAG_GROUPS = 4
MIN_AUC = 0.8  # area under the ROC curve, out of fold, from which a tag is predictable
REGRESSION_C = 0.01  # inverse regularisation: on 12,351 clips, 0.003 and 0.1 predict worse


@dataclass(frozen=True)
class TagAssessment:
    """Predictions of the assessed tags.

    `probabilities` [n, T]: out of fold, NaN where the other groups all have the tag or all lack
    it; `has_tag` [n, T]; `unpredictable`: frequent tags that the regression cannot predict.
    """

    tags: list[str]
    probabilities: Floats
    has_tag: Bools
    unpredictable: list[str]


def frequent_tags(tag_sets: Sequence[Sequence[str]], groups: Sequence[str]) -> list[str]:
    """Tags that enough clips of enough groups have and enough lack, in alphabetical order."""
    clips = Counter(tag for tags in tag_sets for tag in set(tags))
    groups_of: dict[str, set[str]] = {}
    for tags, group in zip(tag_sets, groups, strict=True):
        for tag in tags:
            groups_of.setdefault(tag, set()).add(group)
    max_clips = len(tag_sets) - MIN_TAG_CLIPS
    return sorted(
        tag
        for tag, count in clips.items()
        if MIN_TAG_CLIPS <= count <= max_clips and len(groups_of[tag]) >= MIN_TAG_GROUPS
    )


def assess_tags(
    codes: Array, tag_sets: Sequence[Sequence[str]], groups: Sequence[str], folds: int
) -> TagAssessment:
    """Predict each frequent tag out of fold, from codes [n, V] and the clips' clean tags.

    Deterministic. Raises CorpusError without a frequent tag.
    """
    tags = frequent_tags(tag_sets, groups)
    if not tags:
        raise CorpusError(
            f"suspects: expected a tag of {MIN_TAG_CLIPS} clips in {MIN_TAG_GROUPS} groups, "
            "got none"
        )
    has_tag = np.array([[tag in clip_tags for tag in tags] for clip_tags in map(set, tag_sets)])
    group_numbers = np.unique(groups, return_inverse=True)[1]
    probabilities = out_of_fold_probabilities(codes, has_tag, group_numbers, folds)
    columns = zip(probabilities.T, has_tag.T, strict=True)
    predictable = np.array([_roc_auc(*column) >= MIN_AUC for column in columns], dtype=np.bool_)
    return TagAssessment(
        [tag for tag, ok in zip(tags, predictable, strict=True) if ok],
        probabilities[:, predictable],
        has_tag[:, predictable],
        [tag for tag, ok in zip(tags, predictable, strict=True) if not ok],
    )


def out_of_fold_probabilities(
    codes: Array, has_tag: Bools, groups: npt.NDArray[np.int64], folds: int
) -> Floats:
    """Probabilities [n, T], each by a regression that saw no clip of the clip's group [n].

    NaN where the other groups all have the tag or all lack it.
    """
    from sklearn.model_selection import GroupKFold
    from threadpoolctl import threadpool_limits

    probabilities = np.full(has_tag.shape, np.nan)
    count = min(folds, len(np.unique(groups)))
    with progress("predicting tags", count * has_tag.shape[1], "fits") as bar:
        for train, test in GroupKFold(count).split(codes, groups=groups):
            mean, deviation = codes[train].mean(axis=0), codes[train].std(axis=0)
            scaled = (codes - mean) / np.where(deviation > 0, deviation, 1)
            train_codes, test_codes = scaled[train], scaled[test]
            jobs = [
                joblib.delayed(_fit_and_predict)(train_codes, column, test_codes)
                for column in has_tag[train].T
            ]
            # Threads share the codes: linear algebra releases the interpreter's lock.
            run = joblib.Parallel(n_jobs=-1, prefer="threads", return_as="generator")
            with threadpool_limits(limits=1):
                for column, predicted in enumerate(run(jobs)):
                    probabilities[test, column] = predicted
                    bar.step()
    return probabilities


def _fit_and_predict(train_codes: Array, has_tag: Bools, test_codes: Array) -> Floats:
    """Probabilities of the test clips; NaN where all training clips have the tag, or none."""
    from sklearn.linear_model import LogisticRegression

    if has_tag.all() or not has_tag.any():
        return np.full(len(test_codes), np.nan)
    regression = LogisticRegression(C=REGRESSION_C, solver="newton-cholesky")
    probabilities = regression.fit(train_codes, has_tag).predict_proba(test_codes)[:, 1]
    return np.asarray(probabilities, dtype=np.float64)


def _roc_auc(probabilities: Floats, has_tag: Bools) -> float:
    """Area under the ROC curve over the finite probabilities; 0 where it is undefined."""
    from sklearn.metrics import roc_auc_score

    finite = np.isfinite(probabilities)
    labels = has_tag[finite]
    if labels.all() or not labels.any():
        return 0.0
    return float(roc_auc_score(labels, probabilities[finite]))


def find_label_errors(probabilities: Floats, has_tag: Bools) -> tuple[Bools, Bools]:
    """(wrong, missing), both [n]: the confident-learning rule for one tag.

    `probabilities` [n] may have NaN; those clips are no suspects.
    """
    finite = np.isfinite(probabilities)
    yes = np.where(finite, probabilities, 0.5)
    wrong, missing = np.zeros_like(has_tag), np.zeros_like(has_tag)
    if (finite & has_tag).any() and (finite & ~has_tag).any():
        confident_yes = finite & (yes >= yes[finite & has_tag].mean())
        confident_no = finite & (1 - yes >= (1 - yes)[finite & ~has_tag].mean())
        wrong = has_tag & confident_no & (~confident_yes | (yes < 0.5))
        missing = ~has_tag & confident_yes & (~confident_no | (yes > 0.5))
    return wrong, missing


def wrong_confidence(probabilities: Floats, share: float) -> Floats:
    """The confidence [n] that a clip's tag is wrong; `share`: of the clips that have the tag."""
    clipped = np.clip(probabilities, 1e-9, 1 - 1e-9)
    ratio = clipped / (1 - clipped) / (share / (1 - share))
    return np.asarray(1 / (1 + ratio), dtype=np.float64)
