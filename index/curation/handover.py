"""Handing over a collection: a ZIP of its sounds with who made them, or tables without the sounds.

The ZIP holds ATTRIBUTION.txt, a manifest that `earmark add` reads, and the sounds under names made
of their titles; sounds whose files have gone are listed in MISSING.txt instead. No cell of a CSV is
one that a spreadsheet would compute (`model.core.manifest.safe_cell`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from earmark.index.catalogue.collections import Collection, collection
from earmark.index.catalogue.records import Clip
from earmark.index.curation.collections import MAX_CLIPS, rows_of
from earmark.index.errors import LibraryError
from earmark.index.files.safe_names import distinct_names
from earmark.index.files.stored_zip import Member
from earmark.index.library import Library
from earmark.model.cloud.cloud_file import stored_file
from earmark.model.core.manifest import FILE_NAME, safe_cell

if TYPE_CHECKING:
    import pyarrow as pa

ATTRIBUTION, MISSING, SOUNDS = "ATTRIBUTION.txt", "MISSING.txt", "sounds"
TEXTS = ("path", "id", "title", "tags", "description", "recorded", "author", "source", "licence")
MORE = (
    *("duration", "sample_rate", "channels", "loudness", "damaged"),
    *("sha256", "added_at", "changed_at"),
)
BLOCK = 1_000  # clips read at a time
ASKED = 16  # files asked for at once

_CREATIVE_COMMONS = re.compile(r"(CC0|CC-(BY(?:-NC)?(?:-SA|-ND)?))-(\d\.\d)", re.IGNORECASE)


@dataclass(frozen=True)
class Handover:
    """A collection as it is now: its clips, in order, and the names of their files in a ZIP."""

    collection: Collection
    clips: Sequence[Clip]
    names: Sequence[str]

    @classmethod
    def of(cls, library: Library, collection_id: str) -> Handover:
        """Read a collection. Raises UnknownCollectionError, and LibraryError for a search that
        finds more than MAX_CLIPS."""
        found = collection(library.catalogue, collection_id)
        rows = rows_of(library, found).tolist()
        if len(rows) > MAX_CLIPS:
            raise LibraryError(
                f"collection: expected at most {MAX_CLIPS:,} clips to hand over, got {len(rows):,}"
            )
        clips: list[Clip] = []
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            by_row = library.catalogue.clips_by_row(block)
            clips += [by_row[row] for row in block if row in by_row]
        titles = ((clip.title, PurePath(clip.path).suffix.lower()) for clip in clips)
        return cls(found, clips, list(distinct_names(titles, "sound")))

    def zip_members(self) -> list[Member]:
        """The files of the ZIP: texts first, then the sounds that are there now."""
        names = [f"{SOUNDS}/{name}" for name in self.names]
        files = [stored_file(clip.path) for clip in self.clips]
        with ThreadPoolExecutor(ASKED) as threads:  # a store takes its time for each
            sounds = list(zip(self.clips, threads.map(Member.of_file, names, files), strict=True))
        present = [(clip, member) for clip, member in sounds if member is not None]
        missing = [clip for clip, member in sounds if member is None]
        texts = {
            ATTRIBUTION: self._attribution(present),
            FILE_NAME: _csv(TEXTS, (_texts(clip, member.name) for clip, member in present)),
        }
        if missing:
            texts[MISSING] = self._missing(missing)
        changed = int(datetime.fromisoformat(self.collection.changed_at).timestamp()) * 10**9
        members = [Member.of_text(name, text, changed) for name, text in texts.items()]
        return [*members, *(member for _, member in present)]

    def csv(self) -> str:
        """A table of all clips: the manifest's columns, and what else the library knows."""
        rows = zip(self.clips, self.names, strict=True)
        return _csv(
            (*TEXTS, *MORE),
            ([*_texts(clip, f"{SOUNDS}/{name}"), *_more(clip)] for clip, name in rows),
        )

    def parquet(self) -> bytes:
        """The same table as a Parquet file; tags are lists, dates are times in UTC."""
        import pyarrow as pa
        from pyarrow import parquet

        columns: dict[str, list[Any]] = {name: [] for name in (*TEXTS, *MORE)}
        for clip, name in zip(self.clips, self.names, strict=True):
            values = [f"{SOUNDS}/{name}", *(getattr(clip, field) for field in TEXTS[1:])]
            for column, value in zip(columns, [*values, *_more(clip)], strict=True):
                is_date = column in ("added_at", "changed_at")
                columns[column].append(datetime.fromisoformat(value) if is_date else value)
        columns["tags"] = [list(tags) for tags in columns["tags"]]
        out = io.BytesIO()
        parquet.write_table(pa.table(columns, schema=_schema()), out)
        return out.getvalue()

    def _attribution(self, present: Sequence[tuple[Clip, Member]]) -> str:
        counts = Counter(clip.licence or "not known" for clip, _ in present)
        licences = ", ".join(f"{licence}: {count}" for licence, count in counts.most_common())
        parts = [
            f'Sounds of the collection "{self.collection.name}"',
            *([self.collection.description] if self.collection.description else []),
            f"{_count(len(present))}. Licences: {licences or 'none'}.",
            "Each sound has its own author and licence, named below and in manifest.csv. What a "
            "licence asks for\nholds for everybody who passes the sound on. The authors endorse "
            "nobody by being named.",
        ]
        for number, (clip, member) in enumerate(present, 1):
            link = licence_address(clip.licence)
            fields = {
                "File": member.name,
                "Author": clip.author or "not known",
                "Source": clip.source or "not known",
                "Licence": (clip.licence or "not known") + (f" ({link})" if link else ""),
            }
            lines = [f"   {name}: {value}" for name, value in fields.items()]
            parts.append("\n".join([f"{number}. {clip.title}", *lines]))
        return "\n\n".join(parts) + "\n"

    def _missing(self, missing: Sequence[Clip]) -> str:
        lines = [f"- {clip.title} ({clip.id})" for clip in missing]
        first = f"{_count(len(missing))} of the collection could not be read and not be packed:"
        return "\n".join([first, "", *lines]) + "\n"


def zip_digest(members: Iterable[Member]) -> str:
    """Text that differs between archives that differ, as far as sizes and times of files tell."""
    digest = hashlib.sha256()
    for member in members:
        content = member.content if isinstance(member.content, bytes) else b""
        sums = hashlib.sha256(content).hexdigest()
        digest.update(repr((member.name, member.size, member.mtime_ns, sums)).encode())
    return digest.hexdigest()


def licence_address(licence: str) -> str:
    """Where the text of a licence of Creative Commons is; empty for others."""
    found = _CREATIVE_COMMONS.fullmatch(licence)
    if found is None:
        return ""
    zero, kind, version = found.groups()
    path = "publicdomain/zero" if zero.upper() == "CC0" else f"licenses/{kind.lower()}"
    return f"https://creativecommons.org/{path}/{version}/"


def _texts(clip: Clip, path: str) -> list[str]:
    fields = [getattr(clip, name) for name in TEXTS[1:]]
    return [path, *(" ".join(text) if isinstance(text, tuple) else text for text in fields)]


def _more(clip: Clip) -> list[Any]:
    return [getattr(clip, name) for name in MORE]


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([safe_cell(cell) if isinstance(cell, str) else cell for cell in row])
    return out.getvalue()


def _schema() -> pa.Schema:
    import pyarrow as pa

    kinds: dict[str, pa.DataType] = {
        "tags": pa.list_(pa.string()),
        "duration": pa.float64(),
        "sample_rate": pa.int32(),
        "channels": pa.int32(),
        "loudness": pa.float64(),
        "damaged": pa.float64(),
        "added_at": pa.timestamp("s", tz="UTC"),
        "changed_at": pa.timestamp("s", tz="UTC"),
    }
    return pa.schema([(name, kinds.get(name, pa.string())) for name in (*TEXTS, *MORE)])


def _count(count: int) -> str:
    return f"{count:,} sound" if count == 1 else f"{count:,} sounds"
