"""The manifest and the attribution of a corpus, from the records of its packages."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from earmark.model.core.atomic_write import write_whole
from earmark.model.core.manifest import FILE_NAME
from earmark.training.corpora.debian.record import COPYRIGHT, Clip, Record

COLUMNS = ("path", "tags", "source", "licence", "title", "author")
ATTRIBUTION = "ATTRIBUTION.md"


@dataclass(frozen=True)
class Row:
    """A clip of the corpus and the package it is of."""

    source: str
    clip: Clip


def rows(records: Sequence[Record]) -> list[Row]:
    """All clips; of a sound that is in several packages only the first."""
    found: dict[str, Row] = {}
    for record in records:
        for clip in record.clips:
            found.setdefault(clip.sha256, Row(record.name, clip))
    return list(found.values())


def title_of(member: str) -> str:
    """A file's name as a title."""
    stem = PurePosixPath(member).stem
    return re.sub(r"\s+", " ", re.sub(r"[_-]", " ", stem)).strip()


def write(out: Path, records: Sequence[Record], clips: Sequence[Row]) -> None:
    """Write DIR/manifest.csv and DIR/ATTRIBUTION.md, each whole or not at all."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in clips:
        clip = row.clip
        path, title = f"{row.source}/{clip.file}", title_of(clip.member)
        table.writerow([path, " ".join(clip.tags), row.source, clip.licence, title, clip.author])
    write_whole(out / FILE_NAME, [text.getvalue().encode()])
    write_whole(out / ATTRIBUTION, [attribution(records, clips).encode()])


def attribution(records: Sequence[Record], clips: Sequence[Row]) -> str:
    """Where every clip came from and under what licence, in Markdown."""
    lines = [
        "# Where the sounds came from",
        "",
        "Excerpts of the sounds in these Debian packages: the loudest 8 s at most, mixed to mono,",
        "resampled to 24 kHz, as Ogg Opus. Each clip's licence is in `manifest.csv`; a package's",
        f"own words on copyright are in `{COPYRIGHT}` beside its clips.",
    ]
    for record in records:
        own = [row.clip for row in clips if row.source == record.name]
        lines += ["", f"## {record.name}", ""]
        pinned = "" if record.pinned else ", not the version that was pinned"
        lines.append(f"Version {record.version}{pinned}; SHA-256 of the package {record.sha256}.")
        if record.upstream:
            lines.append(f"Upstream: {record.upstream}")
        lines += ["", "| clips | licence | holders that are named |", "|---|---|---|"]
        for licence, count in sorted(Counter(clip.licence for clip in own).items()):
            authors = sorted({clip.author for clip in own if clip.licence == licence} - {""})
            named = "; ".join(authors).replace("|", "/")
            lines.append(f"| {count} | {licence.replace('|', '/')} | {named or '–'} |")
    return "\n".join(lines) + "\n"
