"""Hard cases: the clips that a model tags most confidently wrong, as a table for its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earmark.model.core.manifest import ManifestRow
from earmark.model.embedder import Embedder
from earmark.model.tagging import rank_tags
from earmark.training.figures.held_out import HeldOutClips

MAX_CASES = 12


@dataclass(frozen=True)
class HardCase:
    """A clip's name and tags, and the wrong tag that the model suggests first."""

    sound: str
    tags: list[str]
    suggested: str
    probability: float


def find_hard_cases(
    embedder: Embedder, held_out: HeldOutClips, limit: int = MAX_CASES
) -> list[HardCase]:
    """Clips whose first suggested tag is not one of theirs, the most probable first.

    At most one clip of a group. Left out are clips without a tag of the vocabulary, which the model
    cannot tag right, and tags below their threshold, which it does not suggest.
    """
    cosines = held_out.scores.cosines.astype(np.float32)
    probabilities = embedder.calibration.probabilities(cosines)
    first = rank_tags(embedder, cosines, probabilities).argmax(axis=1)
    clips = np.arange(len(first))
    highest = probabilities[clips, first]
    has_tag = held_out.scores.has_tag
    suggested = highest >= embedder.calibration.thresholds[first]
    wrong = ~has_tag[clips, first] & has_tag.any(axis=1) & suggested
    cases: dict[str, HardCase] = {}
    for index in np.argsort(-highest, kind="stable").tolist():
        row = held_out.rows[index]
        if len(cases) == limit:
            break
        if wrong[index] and row.group not in cases:
            tag, probability = embedder.vocabulary[first[index]], float(highest[index])
            cases[row.group] = HardCase(
                _sound_name(row), held_out.tag_sets[index], tag, probability
            )
    return list(cases.values())


def _sound_name(row: ManifestRow) -> str:
    """The title, else the file and its folder: enough to find it, without the machine's paths."""
    return row.title or f"{row.path.parent.name}/{row.path.name}"


def markdown(cases: Sequence[HardCase]) -> str:
    """The hard cases as a Markdown table."""
    lines = ["| sound | its tags | suggested first | stated |", "|---|---|---|---|"]
    lines += [
        f"| {_cell(case.sound)} | {_cell(', '.join(case.tags))} | {_cell(case.suggested)} "
        f"| {case.probability:.0%} |"
        for case in cases
    ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
