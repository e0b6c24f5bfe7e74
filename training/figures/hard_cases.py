"""What a model gets most confidently wrong, as a table for its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earmark.model.core.manifest import ManifestRow
from earmark.model.embedder import Embedder
from earmark.training.label_noise.held_out import HeldOut

MOST = 12


@dataclass(frozen=True)
class Failure:
    """A clip by its name and the tags it carries; the tag it was given first instead."""

    sound: str
    tags: list[str]
    suggested: str
    probability: float


def failures(embedder: Embedder, heard: HeldOut, most: int = MOST) -> list[Failure]:
    """Clips whose first suggested tag is none of their own, the most probable first.

    At most one of a group. A clip that carries no tag of the vocabulary cannot be right, and is
    left out. A tag below its threshold is not suggested.
    """
    probable = embedder.calibration.probabilities(heard.evidence.cosines.astype(np.float32))
    first = probable.argmax(axis=1)
    stated = probable[np.arange(len(first)), first]
    carried = heard.evidence.carried
    right = carried[np.arange(len(first)), first]
    wrong = ~right & carried.any(axis=1) & (stated >= embedder.calibration.thresholds[first])
    found: dict[str, Failure] = {}
    for number in np.argsort(-stated, kind="stable").tolist():
        group = heard.rows[number].group
        if len(found) == most:
            break
        if wrong[number] and group not in found:
            tag, probability = embedder.vocabulary[first[number]], float(stated[number])
            own = heard.tag_sets[number]
            found[group] = Failure(_name(heard.rows[number]), own, tag, probability)
    return list(found.values())


def _name(row: ManifestRow) -> str:
    """A title, else the file and its folder: enough to find it, and nothing of the machine."""
    return row.title or f"{row.path.parent.name}/{row.path.name}"


def markdown(rows: Sequence[Failure]) -> str:
    """The failures as a Markdown table."""
    lines = ["| sound | its tags | suggested first | stated |", "|---|---|---|---|"]
    lines += [
        f"| {_cell(row.sound)} | {_cell(', '.join(row.tags))} | {_cell(row.suggested)} "
        f"| {row.probability:.0%} |"
        for row in rows
    ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
