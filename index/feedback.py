"""Feedback on suggested tags: which tags people accepted and rejected, stored to train on.

Feedback is on a clip of the library, and is deleted with it; or on a separate sound, which is
stored once in the library's folder `feedback`. The labels of a sound are its clip's tags, plus
accepted tags, minus rejected ones, compared by `text_key`; of two opinions on a tag the later one
counts. Verdicts of a review (`index.curation.verdicts`) are opinions as well: what they accepted
are tags of the clip already.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.metadata import Metadata
from earmark.index.catalogue.records import Clip
from earmark.index.errors import LibraryError, StorageError, UnknownClipError
from earmark.index.files.managed_files import StagedFile
from earmark.index.library import Library
from earmark.model.cloud.cloud_file import stored_file
from earmark.model.core.atomic_write import write_whole
from earmark.model.core.manifest import safe_cell
from earmark.model.core.record_files import JSON_LINES, PARQUET, json_lines, parquet_table
from earmark.model.text.text_key import text_key

MAX_NUMBER = 2**62  # above every feedback number
MANIFEST_COLUMNS = ("path", "tags", "title", "licence", "author", "source", "id")
CLIPS_FOLDER = "clips"  # in relative manifests, for sounds outside the library's folder


@dataclass(frozen=True)
class Opinion:
    """The tags that a person accepted and rejected; `by`: who, may be empty.

    Raises LibraryError for no tags, too many, too long ones, or one that is in both.
    """

    accepted: tuple[str, ...]
    rejected: tuple[str, ...]
    by: str = ""

    def __post_init__(self) -> None:
        if not self.accepted and not self.rejected:
            raise LibraryError("accepted, rejected: expected at least one tag, got none")
        rejected = set(map(text_key, self.rejected))
        if both := [tag for tag in self.accepted if text_key(tag) in rejected]:
            raise LibraryError(f"rejected: expected no accepted tag, got {both[0][:60]!r}")
        for tags in (self.accepted, self.rejected):
            if problem := Metadata(tags=tags).problem():
                raise LibraryError(problem)


@dataclass(frozen=True)
class Feedback:
    """A stored opinion. `clip`: the id of its clip; or empty, and then `sound` is the path of the
    separate sound in the library's folder. `fingerprint`: of the model that suggested the tags."""

    number: int
    clip: str
    sound: str
    title: str
    accepted: tuple[str, ...]
    rejected: tuple[str, ...]
    by: str
    at: str
    fingerprint: str


@dataclass
class _LabelledSound:
    """A sound and its labels: a clip, or the path of a separate sound in the library's folder."""

    clip: Clip | None
    path: str
    title: str
    tags: dict[str, str] = field(default_factory=dict)  # by their keys


_COUNTS = "latest AND verdict != 'undecided'"  # of the table `verdicts`
_SELECT = (
    "SELECT number, coalesce(clips.id, ''), feedback.path, feedback.title, accepted, rejected, "
    "given_by, given_at, fingerprint FROM feedback LEFT JOIN clips USING (row)"
)


def add_for_clip(library: Library, clip_id: str, opinion: Opinion) -> Feedback:
    """Store an opinion on a clip. Raises UnknownClipError, StorageError."""
    clip = library.catalogue.clip(clip_id)
    number = _insert(library, opinion, row=clip.row, title=clip.title)
    return _one(library.catalogue, number)


def add_for_sound(
    library: Library, staged: StagedFile, sha256: str, title: str, opinion: Opinion
) -> Feedback:
    """Store an opinion on a separate sound, and the sound unless it is stored already.

    `sha256`: of the decoded sound. Raises StorageError. The caller closes the staged file.
    """
    stored = library.catalogue.database.query(
        "SELECT path FROM feedback WHERE sha256 = ? AND path != '' LIMIT 1", (sha256,)
    )
    folder = library.feedback_sounds.folder
    exists = bool(stored) and (folder.parent / stored[0][0]).is_file()
    path = str(stored[0][0]) if exists else f"{folder.name}/{staged.place().name}"
    number = _insert(library, opinion, path=path, sha256=sha256, title=title)
    if not exists:
        staged.commit()
    return _one(library.catalogue, number)


def newest(catalogue: Catalogue, limit: int, before: int | None = None) -> list[Feedback]:
    """The last opinions, newest first; with `before`, those older than that number."""
    condition = "number < ? ORDER BY number DESC LIMIT ?"
    return list(_read(catalogue, condition, before or MAX_NUMBER, limit))


def count(catalogue: Catalogue) -> int:
    """The number of opinions."""
    return int(catalogue.database.query("SELECT count(*) FROM feedback")[0][0])


def manifest(folder: Path, catalogue: Catalogue, *, absolute: bool) -> str:
    """A training manifest (`model.core.manifest`) of all sounds with opinions, as CSV.

    Paths are absolute, or relative to the library's folder, to send to others: then a sound outside
    the folder has the path `clips/ID.suffix`. Sounds without any label left are omitted.
    """
    return _csv(_manifest_records(folder, catalogue, absolute=absolute))


def export(folder: Path, out: Path) -> int:
    """Write the manifest of the library in `folder`, whole or not at all: JSON lines or Parquet
    where the name of `out` ends so, else CSV. Returns the sounds in it.

    Raises LibraryError if there is no library or no feedback, StorageError.
    """
    with closing(Catalogue.open(folder)) as catalogue:
        records = list(_manifest_records(folder, catalogue, absolute=True))
    if not records:
        raise LibraryError(f"library {folder}: expected feedback or a review to export, got none")
    if out.suffix.lower() == JSON_LINES:
        content = json_lines(records)
    elif out.suffix.lower() == PARQUET:
        content = parquet_table(records)
    else:
        content = _csv(records).encode()
    try:
        write_whole(out, [content])
    except OSError as error:
        raise StorageError(f"out: {out}: {error.strerror}") from error
    return len(records)


def _manifest_records(
    folder: Path, catalogue: Catalogue, *, absolute: bool
) -> Iterator[dict[str, str | list[str]]]:
    """The rows of the manifest, by MANIFEST_COLUMNS."""
    for sound in _labelled_sounds(catalogue):
        if sound.tags:
            clip = sound.clip
            metadata = clip.metadata if clip else Metadata(title=sound.title)
            cells = (
                _path(folder.resolve(), sound, absolute=absolute),
                list(sound.tags.values()),
                metadata.title,
                metadata.licence,
                metadata.author,
                metadata.source,
                clip.id if clip else "",
            )
            yield dict(zip(MANIFEST_COLUMNS, cells, strict=True))


def _csv(records: Iterable[Mapping[str, str | Sequence[str]]]) -> str:
    out = io.StringIO(newline="")
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(MANIFEST_COLUMNS)
    for record in records:
        cells = (cell if isinstance(cell, str) else " ".join(cell) for cell in record.values())
        rows.writerow(map(safe_cell, cells))
    return out.getvalue()


def _path(folder: Path, sound: _LabelledSound, *, absolute: bool) -> str:
    path = stored_file(sound.clip.path) if sound.clip else folder / sound.path
    if absolute:
        return str(path)
    if isinstance(path, Path) and path.is_relative_to(folder):
        return str(path.relative_to(folder))
    assert sound.clip is not None, "separate sounds lie in the library's folder"
    return f"{CLIPS_FOLDER}/{quote(sound.clip.id, safe='')}{path.suffix}"


def _labelled_sounds(catalogue: Catalogue) -> list[_LabelledSound]:
    """Each sound once, with its labels after all opinions."""
    rows = [
        row
        for (row,) in catalogue.database.query(
            "SELECT row FROM feedback WHERE row IS NOT NULL UNION SELECT row FROM verdicts "  # noqa: S608 (a constant)
            f"WHERE {_COUNTS}"
        )
    ]
    clips = {clip.id: clip for clip in catalogue.clips_by_row(rows).values()}
    sounds: dict[str, _LabelledSound] = {}
    opinions = [
        *_read(catalogue, "number < ? ORDER BY number LIMIT ?", MAX_NUMBER, -1),
        *_verdicts(catalogue),
    ]
    for feedback in sorted(opinions, key=lambda opinion: opinion.at):
        key = feedback.clip or f"/{feedback.sound}"
        if key not in sounds:
            clip = clips.get(feedback.clip)
            if feedback.clip and clip is None:
                continue  # removed meanwhile
            tags = {text_key(tag): tag for tag in (clip.tags if clip else ())}
            sounds[key] = _LabelledSound(clip, feedback.sound, feedback.title, tags)
        labels = sounds[key].tags
        for tag in feedback.accepted:
            labels.setdefault(text_key(tag), tag)
        for tag in feedback.rejected:
            labels.pop(text_key(tag), None)
    return list(sounds.values())


def _insert(library: Library, opinion: Opinion, **values: object) -> int:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    row = {
        "row": None,
        "path": "",
        "sha256": "",
        "accepted": " ".join(opinion.accepted),
        "rejected": " ".join(opinion.rejected),
        "given_by": opinion.by,
        "given_at": now,
        "fingerprint": library.embedder.fingerprint,
        **values,
    }
    names, placeholders = ", ".join(row), ", ".join(f":{name}" for name in row)
    statement = f"INSERT INTO feedback ({names}) VALUES ({placeholders})"  # noqa: S608 (constant names)
    with library.catalogue.database.transaction() as db:
        try:
            number = int(db.execute(statement, row).lastrowid or 0)
        except sqlite3.IntegrityError as error:  # the clip was removed meanwhile
            raise UnknownClipError("clip: expected one of this library, it has gone") from error
        keys = sorted(map(text_key, (*opinion.accepted, *opinion.rejected)))
        db.execute(  # no review need ask for it again
            "DELETE FROM suggestions WHERE row = ? AND tag IN (SELECT number FROM suggested_tags "
            "WHERE key IN (SELECT value FROM json_each(?)))",
            (row["row"], json.dumps(keys)),
        )
        return number


def _verdicts(catalogue: Catalogue) -> Iterator[Feedback]:
    """The verdicts that count, as opinions: what was rejected, and what was accepted where the clip
    has it still."""
    for number, clip, tags, tag, verdict, by, at, model in catalogue.database.query(
        "SELECT number, clips.id, clips.tags, tag, verdict, given_by, given_at, model "  # noqa: S608 (a constant)
        f"FROM verdicts JOIN clips USING (row) WHERE {_COUNTS} ORDER BY number"
    ):
        accepted = tuple(own for own in tags.split() if text_key(own) == text_key(tag))
        if verdict == "reject":
            yield Feedback(number, clip, "", "", (), (tag,), by, at, model)
        else:
            yield Feedback(number, clip, "", "", accepted, (), by, at, model)


def _one(catalogue: Catalogue, number: int) -> Feedback:
    (feedback,) = _read(catalogue, "number = ? LIMIT ?", number, 1)
    return feedback


def _read(catalogue: Catalogue, condition: str, number: int, limit: int) -> Iterator[Feedback]:
    rows = catalogue.database.query(f"{_SELECT} WHERE {condition}", (number, limit))
    for identifier, clip, path, title, accepted, rejected, by, at, fingerprint in rows:
        yield Feedback(
            number=identifier,
            clip=clip,
            sound=path,
            title=title,
            accepted=tuple(accepted.split()),
            rejected=tuple(rejected.split()),
            by=by,
            at=at,
            fingerprint=fingerprint,
        )
