"""Suspects: likely wrong or missing tags, their CSV file, and a corpus without the wrong ones.

Columns `path,tag,kind,confidence,probability,group`, the most confident first. `path` is the
manifest's, relative to its folder, so the file works on every machine; with `group` it identifies
the clip. `tag` is clean. `kind` is "wrong" (the clip has the tag, and likely should not) or
"missing".
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

import numpy as np

from earmark.model.core.atomic_write import write_whole
from earmark.model.core.manifest import ManifestRow
from earmark.model.text.normalize import clean_tags
from earmark.training.errors import CorpusError
from earmark.training.label_noise.confident_learning import (
    TagAssessment,
    find_label_errors,
    wrong_confidence,
)

log = logging.getLogger(__name__)

Kind = Literal["wrong", "missing"]
REQUIRED_COLUMNS = ("path", "tag", "kind", "group")


@dataclass(frozen=True)
class Suspect:
    """A clip and a likely wrong or missing tag.

    `probability`: of the tag, predicted from other groups; `confidence`: that the suspicion is
    right, 0 to 1 (`training.label_noise.confident_learning`).
    """

    path: str
    tag: str
    kind: Kind
    confidence: float
    probability: float
    group: str


def find_suspects(
    assessment: TagAssessment, rows: Sequence[ManifestRow], paths: Sequence[str]
) -> list[Suspect]:
    """All suspects, the most confident first; `paths`: the rows' paths as in their manifest."""
    suspects = []
    for column, tag in enumerate(assessment.tags):
        probabilities, has_tag = assessment.probabilities[:, column], assessment.has_tag[:, column]
        wrong, missing = find_label_errors(probabilities, has_tag)
        confidence = wrong_confidence(probabilities, float(has_tag.mean()))
        for kind, clips, scores in (
            ("wrong", wrong, confidence),
            ("missing", missing, probabilities),
        ):
            suspects += [
                Suspect(
                    path=paths[clip],
                    tag=tag,
                    kind=kind,  # type: ignore[arg-type]
                    confidence=float(scores[clip]),
                    probability=float(probabilities[clip]),
                    group=rows[clip].group,
                )
                for clip in np.flatnonzero(clips).tolist()
            ]
    return sorted(suspects, key=lambda suspect: (-suspect.confidence, suspect.path, suspect.tag))


def write_suspects(file: Path, suspects: Sequence[Suspect]) -> None:
    """Write the CSV file, atomically. Raises CorpusError."""
    text = io.StringIO(newline="")
    lines = csv.DictWriter(text, [field.name for field in fields(Suspect)], lineterminator="\n")
    lines.writeheader()
    lines.writerows(
        asdict(suspect)
        | {"confidence": f"{suspect.confidence:.4f}", "probability": f"{suspect.probability:.3g}"}
        for suspect in suspects
    )
    try:
        write_whole(file, [text.getvalue().encode()])
    except OSError as error:
        raise CorpusError(f"{file}: cannot be written ({error.strerror})") from error


def without_suspects(rows: Sequence[ManifestRow], file: Path) -> list[ManifestRow]:
    """The rows without the tags that a file of suspects calls wrong; other tags stay as they are.

    For training clips only: metrics on clips that a model's own opinion has changed would flatter
    it. Raises CorpusError when the file is unreadable, or lists none of these clips.
    """
    wrong = _read_wrong_tags(file)
    cleaned, clip_count, tag_count = [], 0, 0
    for row in rows:
        wrong_tags = {
            tag
            for path, tag in wrong.get((row.group, row.path.name), ())
            if row.path.parts[-len(path.parts) :] == path.parts
        }
        tags = _remove_tags(row.tags, wrong_tags) if wrong_tags else row.tags
        if tags != row.tags:
            clip_count, tag_count = clip_count + 1, tag_count + len(row.tags) - len(tags)
        cleaned.append(row if tags == row.tags else replace(row, tags=tags))
    if wrong and not clip_count:
        raise CorpusError(f"{file}: expected suspects of this corpus, got none of its clips")
    log.info("left out %d tags of %d clips, by %s", tag_count, clip_count, file.name)
    return cleaned


def _read_wrong_tags(file: Path) -> dict[tuple[str, str], list[tuple[PurePosixPath, str]]]:
    """(path, tag) of each wrong tag, by (group, file name). Raises CorpusError."""
    wrong: dict[tuple[str, str], list[tuple[PurePosixPath, str]]] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            if missing := set(REQUIRED_COLUMNS) - set(reader.fieldnames or ()):
                raise CorpusError(f"{file}: expected the columns {', '.join(sorted(missing))}")
            for number, line in enumerate(reader, start=2):
                path, tag, kind, group = (line[name] or "" for name in REQUIRED_COLUMNS)
                if kind not in get_args(Kind) or not path or not tag:
                    raise CorpusError(
                        f"{file}: line {number}: expected a path, a tag and wrong or missing, "
                        f"got {path!r}, {tag!r} and {kind!r}"
                    )
                if kind == "wrong":
                    relative = PurePosixPath(path)
                    wrong.setdefault((group, relative.name), []).append((relative, tag))
    except OSError as error:
        raise CorpusError(f"{file}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{file}: not a CSV file in UTF-8 ({error})") from error
    return wrong


def _remove_tags(tags: Sequence[str], wrong: set[str]) -> tuple[str, ...]:
    """A manifest's tags, in whatever form, without those that clean to a wrong one."""
    remaining = []
    for tag in tags:
        clean = clean_tags([tag], wrong)
        remaining += [part for part in clean if part not in wrong] if wrong & set(clean) else [tag]
    return tuple(remaining)
