"""What people said of suggested tags, kept to train on: accepted and rejected ones, by sound.

Feedback is on a clip of the library, with which it goes, or on a sound of its own, which is kept in
the library's folder `feedback`, once for each sound. A sound's tags are its clip's own, with what
was accepted, without what was rejected, in any case of letters; of two opinions on a tag the later
one counts.
"""

from __future__ import annotations

import csv
import datetime
import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.records import Clip, Said
from earmark.index.errors import LibraryError, StorageError, UnknownClipError
from earmark.index.files.managed_files import Staged
from earmark.index.library import Library
from earmark.model.core.atomic_write import write_whole

COLUMNS = ("path", "tags", "title", "licence", "author", "source", "id")
CLIPS = "clips"  # folder in a manifest for sounds that lie outside the library's own


@dataclass(frozen=True)
class Opinion:
    """Tags that someone accepted and rejected; `by` whom, if that is known.

    Raises LibraryError where there are none, too many, too long ones, or one is on both sides.
    """

    accepted: tuple[str, ...]
    rejected: tuple[str, ...]
    by: str = ""

    def __post_init__(self) -> None:
        if not self.accepted and not self.rejected:
            raise LibraryError("accepted, rejected: expected at least one tag, got none")
        rejected = {tag.lower() for tag in self.rejected}
        if both := [tag for tag in self.accepted if tag.lower() in rejected]:
            raise LibraryError(f"rejected: expected no accepted tag, got {both[0][:60]!r}")
        for tags in (self.accepted, self.rejected):
            if problem := Said(tags=tags).problem():
                raise LibraryError(problem)


@dataclass(frozen=True)
class Feedback:
    """An opinion that was kept. `clip`: the id of the clip it is on; else empty, and `sound` is
    the kept sound's path in the library's folder. `fingerprint`: of the model that suggested."""

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
class _Heard:
    """A sound of the manifest: its clip, or where a sound of its own is kept."""

    clip: Clip | None
    sound: str
    title: str
    tags: dict[str, str] = field(default_factory=dict)  # by their lower case


_SELECT = (
    "SELECT number, coalesce(clips.id, ''), feedback.path, feedback.title, accepted, rejected, "
    "given_by, given_at, fingerprint FROM feedback LEFT JOIN clips USING (row)"
)


def on_clip(library: Library, clip_id: str, opinion: Opinion) -> Feedback:
    """Keep an opinion on a clip. Raises UnknownClipError, StorageError."""
    clip = library.catalogue.clip(clip_id)
    number = _insert(library, opinion, row=clip.row, title=clip.title)
    return _one(library.catalogue, number)


def on_sound(
    library: Library, staged: Staged, sha256: str, title: str, opinion: Opinion
) -> Feedback:
    """Keep an opinion on a sound of its own, and the sound, unless it is kept already.

    `sha256`: of the decoded sound. Raises StorageError; then the caller is to close what it staged.
    """
    kept = library.catalogue.database.query(
        "SELECT path FROM feedback WHERE sha256 = ? AND path != '' LIMIT 1", (sha256,)
    )
    folder = library.feedback_sounds.folder
    known = bool(kept) and (folder.parent / kept[0][0]).is_file()
    path = str(kept[0][0]) if known else f"{folder.name}/{staged.place().name}"
    number = _insert(library, opinion, path=path, sha256=sha256, title=title)
    if not known:
        staged.settle()
    return _one(library.catalogue, number)


def newest(catalogue: Catalogue, most: int, before: int | None = None) -> list[Feedback]:
    """The last opinions, the newest first; only those before one of that number."""
    return list(_read(catalogue, "number < ? ORDER BY number DESC LIMIT ?", before or 2**62, most))


def count(catalogue: Catalogue) -> int:
    """Opinions in all."""
    return int(catalogue.database.query("SELECT count(*) FROM feedback")[0][0])


def manifest(folder: Path, catalogue: Catalogue, *, absolute: bool) -> str:
    """All sounds with opinions and their tags, as a training manifest (`model.core.manifest`).

    Paths are absolute, or, to be shown to others, relative to the library's folder; then a sound
    outside it stands as `clips/ID.suffix`. Sounds of which no tag is left are not in it.
    """
    out = io.StringIO(newline="")
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(COLUMNS)
    for heard in _heard(catalogue):
        if heard.tags:
            clip, tags = heard.clip, " ".join(heard.tags.values())
            said = clip.said if clip else Said(title=heard.title)
            about = (said.title, said.licence, said.author, said.source, clip.id if clip else "")
            rows.writerow([_path(folder.resolve(), heard, absolute=absolute), tags, *about])
    return out.getvalue()


def export(folder: Path, out: Path) -> int:
    """Write the manifest of a library's folder, whole or not at all. Returns how many sounds.

    Raises LibraryError where there is no library, or no feedback; StorageError.
    """
    with closing(Catalogue.open(folder)) as catalogue:
        text = manifest(folder, catalogue, absolute=True)
    sounds = sum(1 for _ in csv.reader(io.StringIO(text))) - 1
    if not sounds:
        raise LibraryError(f"library {folder}: expected feedback to export, got none")
    try:
        write_whole(out, [text.encode()])
    except OSError as error:
        raise StorageError(f"out: {out}: {error.strerror}") from error
    return sounds


def _path(folder: Path, heard: _Heard, *, absolute: bool) -> str:
    path = Path(heard.clip.path) if heard.clip else folder / heard.sound
    if absolute:
        return str(path)
    if path.is_relative_to(folder):
        return str(path.relative_to(folder))
    assert heard.clip is not None, "sounds of their own lie in the library's folder"
    return f"{CLIPS}/{quote(heard.clip.id, safe='')}{path.suffix}"


def _heard(catalogue: Catalogue) -> list[_Heard]:
    """Each sound once, with its tags after all opinions."""
    rows = [
        row
        for (row,) in catalogue.database.query(
            "SELECT DISTINCT row FROM feedback WHERE row IS NOT NULL"
        )
    ]
    clips = {clip.id: clip for clip in catalogue.clips_by_row(rows).values()}
    heard: dict[str, _Heard] = {}
    for each in _read(catalogue, "number < ? ORDER BY number LIMIT ?", 2**62, -1):
        key = each.clip or f"/{each.sound}"
        if key not in heard:
            clip = clips.get(each.clip)
            if each.clip and clip is None:
                continue  # removed meanwhile
            own = clip.tags if clip else ()
            heard[key] = _Heard(clip, each.sound, each.title, {tag.lower(): tag for tag in own})
        tags = heard[key].tags
        for tag in each.accepted:
            tags.setdefault(tag.lower(), tag)
        for tag in each.rejected:
            tags.pop(tag.lower(), None)
    return list(heard.values())


def _insert(library: Library, opinion: Opinion, **about: object) -> int:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    values = {
        "row": None,
        "path": "",
        "sha256": "",
        "accepted": " ".join(opinion.accepted),
        "rejected": " ".join(opinion.rejected),
        "given_by": opinion.by,
        "given_at": now,
        "fingerprint": library.embedder.fingerprint,
        **about,
    }
    names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
    statement = f"INSERT INTO feedback ({names}) VALUES ({marks})"  # noqa: S608 (own names)
    with library.catalogue.database.transaction() as db:
        try:
            return int(db.execute(statement, values).lastrowid or 0)
        except sqlite3.IntegrityError as error:  # the clip was removed meanwhile
            raise UnknownClipError("clip: expected one of this library, it has gone") from error


def _one(catalogue: Catalogue, number: int) -> Feedback:
    (found,) = _read(catalogue, "number = ? LIMIT ?", number, 1)
    return found


def _read(catalogue: Catalogue, which: str, number: int, most: int) -> Iterator[Feedback]:
    rows = catalogue.database.query(f"{_SELECT} WHERE {which}", (number, most))
    for number_, clip, path, title, accepted, rejected, *rest in rows:
        yield Feedback(
            number_, clip, path, title, tuple(accepted.split()), tuple(rejected.split()), *rest
        )
