"""Writes a corpus's manifest and attribution from the records of its packages."""

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
from earmark.training.corpora.debian.record import COPYRIGHT, ClipRecord, PackageRecord

COLUMNS = ("path", "tags", "source", "licence", "title", "author")
ATTRIBUTION = "ATTRIBUTION.md"


@dataclass(frozen=True)
class CorpusRow:
    """A clip of the corpus, and its package's name as `source`."""

    source: str
    clip: ClipRecord


def corpus_rows(records: Sequence[PackageRecord]) -> list[CorpusRow]:
    """All clips; a sound that is in several packages is taken from the first."""
    by_sound: dict[str, CorpusRow] = {}
    for record in records:
        for clip in record.clips:
            by_sound.setdefault(clip.sha256, CorpusRow(record.name, clip))
    return list(by_sound.values())


def title_of(member: str) -> str:
    """A file's name as a title."""
    stem = PurePosixPath(member).stem
    return re.sub(r"\s+", " ", re.sub(r"[_-]", " ", stem)).strip()


def write(out: Path, records: Sequence[PackageRecord], clips: Sequence[CorpusRow]) -> None:
    """Write DIR/manifest.csv and DIR/ATTRIBUTION.md, each atomically."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in clips:
        clip = row.clip
        path, title = f"{row.source}/{clip.file}", title_of(clip.member)
        table.writerow([path, " ".join(clip.tags), row.source, clip.licence, title, clip.author])
    write_whole(out / FILE_NAME, [text.getvalue().encode()])
    write_whole(out / ATTRIBUTION, [attribution(records, clips).encode()])


def attribution(records: Sequence[PackageRecord], clips: Sequence[CorpusRow]) -> str:
    """Where every clip came from and under what licence, in Markdown."""
    lines = [
        "# Where the sounds came from",
        "",
        "Excerpts of the sounds in these Debian packages: the loudest 8 s at most, mixed to mono,",
        "resampled to 24 kHz, as Ogg Opus. Each clip's licence is in `manifest.csv`; a package's",
        f"own words on copyright are in `{COPYRIGHT}` beside its clips.",
    ]
    for record in records:
        package_clips = [row.clip for row in clips if row.source == record.name]
        lines += ["", f"## {record.name}", ""]
        pinned = "" if record.pinned else ", not the version that was pinned"
        lines.append(f"Version {record.version}{pinned}; SHA-256 of the package {record.sha256}.")
        if record.upstream:
            lines.append(f"Upstream: {record.upstream}")
        lines += ["", "| clips | licence | holders that are named |", "|---|---|---|"]
        for licence, count in sorted(Counter(clip.licence for clip in package_clips).items()):
            authors = sorted(
                {clip.author for clip in package_clips if clip.licence == licence} - {""}
            )
            named = "; ".join(authors).replace("|", "/")
            lines.append(f"| {count} | {licence.replace('|', '/')} | {named or '–'} |")
    return "\n".join(lines) + "\n"
