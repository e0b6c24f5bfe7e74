"""Tags that are likely wrong or missing: the CSV that says so, and a corpus without the wrong.

Columns `path,tag,kind,confidence,probability,group`, the most confident first. `path` is that of
the manifest, relative to its folder, so the file serves on every machine; with `group` it names
the clip. `tag` is clean. `kind` is "wrong" (the clip carries the tag, and likely should not) or
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

from earmark.model.core.atomic_write import write_whole
from earmark.model.core.manifest import ManifestRow
from earmark.model.text.normalize import clean_tags
from earmark.training.errors import CorpusError

log = logging.getLogger(__name__)

Kind = Literal["wrong", "missing"]
NEEDED = ("path", "tag", "kind", "group")


@dataclass(frozen=True)
class Suspect:
    """A clip and a tag. `probability`: that the clip carries it, by what is heard in other groups;
    `confidence`: in the suspicion, 0 to 1 (`training.label_noise.confident_learning`).
    """

    path: str
    tag: str
    kind: Kind
    confidence: float
    probability: float
    group: str


def write_suspects(file: Path, suspects: Sequence[Suspect]) -> None:
    """Write the CSV, whole or not at all. Raises CorpusError."""
    text = io.StringIO(newline="")
    lines = csv.DictWriter(text, [field.name for field in fields(Suspect)], lineterminator="\n")
    lines.writeheader()
    lines.writerows(
        asdict(each)
        | {"confidence": f"{each.confidence:.4f}", "probability": f"{each.probability:.3g}"}
        for each in suspects
    )
    try:
        write_whole(file, [text.getvalue().encode()])
    except OSError as error:
        raise CorpusError(f"{file}: cannot be written ({error.strerror})") from error


def without_suspects(rows: Sequence[ManifestRow], file: Path) -> list[ManifestRow]:
    """The rows without the tags that a CSV of suspects calls wrong; other tags stay as they were.

    Meant for clips that train: where a model's own opinion changed what it is measured on, the
    measure would flatter it. Raises CorpusError when the file cannot be read, or is of other clips.
    """
    wrong = _wrong(file)
    made, clips, tags = [], 0, 0
    for row in rows:
        own = {
            tag
            for path, tag in wrong.get((row.group, row.path.name), ())
            if row.path.parts[-len(path.parts) :] == path.parts
        }
        kept = _kept(row.tags, own) if own else row.tags
        clips, tags = clips + (kept != row.tags), tags + len(row.tags) - len(kept)
        made.append(row if kept == row.tags else replace(row, tags=kept))
    if wrong and not clips:
        raise CorpusError(f"{file}: expected suspects of this corpus, got none of its clips")
    log.info("left out %d tags of %d clips, by %s", tags, clips, file.name)
    return made


def _wrong(file: Path) -> dict[tuple[str, str], list[tuple[PurePosixPath, str]]]:
    """(path, tag) of the wrong tags by group and file name. Raises CorpusError."""
    wrong: dict[tuple[str, str], list[tuple[PurePosixPath, str]]] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            if missing := set(NEEDED) - set(reader.fieldnames or ()):
                raise CorpusError(f"{file}: expected the columns {', '.join(sorted(missing))}")
            for number, line in enumerate(reader, start=2):
                path, tag, kind, group = (line[name] or "" for name in NEEDED)
                if kind not in get_args(Kind) or not path or not tag:
                    raise CorpusError(
                        f"{file}: line {number}: expected a path, a tag and wrong or missing, "
                        f"got {path!r}, {tag!r} and {kind!r}"
                    )
                if kind == "wrong":
                    at = PurePosixPath(path)
                    wrong.setdefault((group, at.name), []).append((at, tag))
    except OSError as error:
        raise CorpusError(f"{file}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{file}: not a CSV file in UTF-8 ({error})") from error
    return wrong


def _kept(tags: Sequence[str], wrong: set[str]) -> tuple[str, ...]:
    """A manifest's tags without some clean ones, in whatever form it has them."""
    kept = []
    for tag in tags:
        parts = clean_tags([tag], wrong)
        kept += [part for part in parts if part not in wrong] if wrong & set(parts) else [tag]
    return tuple(kept)
