"""Review of suggested tags: tag by tag or sound by sound, by several people at once.

A suggestion waits if it is likely enough by its tag's threshold, its clip lacks the tag, and there
is no verdict or feedback on it. Only the tag itself counts, in any case of its letters: no other
tag implies it. Who leases a page has its suggestions alone for a while; others get the next ones.
Lists show what nobody else has leased. Tags come surest or least sure first, sounds in the order
in which they were added.
"""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal

import numpy as np

from earmark.index.catalogue.records import Clip
from earmark.index.curation.suggestions import judged_keys
from earmark.index.errors import CursorError, LibraryError
from earmark.index.library import Library
from earmark.index.search.cursor import digest
from earmark.index.types import Filter
from earmark.model.core.arrays import Rows, are_among
from earmark.model.text.text_key import text_key

LEASE_SECONDS = 300.0
MAX_STARTS = 3  # told of a tag in a long sound
BLOCK = 200  # suggestions looked at together
LOOKED_UP = 20_000  # clips that pass a filter: of so few, theirs alone are read
MAX_CURSOR_CHARACTERS = 200

Order = Literal["surest", "unsurest"]
Place = tuple[float, int]  # in a list: a probability, 0 of sounds; and a row


@dataclass(frozen=True)
class TagReview:
    """How far the review of a tag is; `threshold`: from which its suggestions wait, None for a tag
    that the model does not suggest."""

    tag: str
    waiting: int
    accepted: int
    rejected: int
    threshold: float | None


@dataclass(frozen=True)
class ReviewRequest:
    """What to review: one tag, or sound by sound where there is none; the order of suggestions of a
    tag, or of a sound's tags; how many suggestions of a tag, or sounds; of which clips; after which
    page. `holder`: the reviewer, whose own leases do not keep suggestions from the list."""

    tag: str = ""
    order: Order = "surest"
    k: int = 20
    where: Filter = field(default_factory=Filter)
    cursor: str = ""
    holder: str = ""


@dataclass(frozen=True)
class Suggested:
    """A tag that waits, and where in a long sound it is nearest: seconds, the nearest first."""

    number: int
    tag: str
    probability: float
    starts: tuple[float, ...] = ()


@dataclass(frozen=True)
class SuggestedSound:
    """A clip with tags that wait."""

    clip: Clip
    tags: tuple[Suggested, ...]


@dataclass(frozen=True)
class ReviewPage:
    """Sounds to review. `next`: the next page's cursor, empty on the last; `seconds`: for which
    they are leased, None in a list."""

    sounds: list[SuggestedSound]
    next: str
    seconds: float | None = None


@dataclass(frozen=True)
class _Tag:
    number: int
    tag: str
    key: str
    threshold: float


def tag_reviews(library: Library) -> list[TagReview]:
    """Of each tag that waits or has a verdict, how far its review is; most waiting first."""
    database = library.catalogue.database
    verdicts: dict[str, dict[str, int]] = {}
    spelling: dict[str, str] = {}
    for key, verdict, tag, count in database.query(
        "SELECT key, verdict, max(tag), count(*) FROM verdicts "
        "WHERE latest AND verdict != 'undecided' GROUP BY key, verdict"
    ):
        verdicts.setdefault(key, {})[verdict] = count
        spelling.setdefault(key, tag)
    waiting = {
        key: (tag, threshold, count)
        for key, tag, threshold, count in database.query(
            "SELECT key, suggested_tags.tag, threshold, (SELECT count(*) FROM suggestions WHERE "
            "suggestions.tag = number AND probability >= threshold) FROM suggested_tags"
        )
    }
    reviews = []
    for key in {**waiting, **verdicts}:
        tag, threshold, count = waiting.get(key, (spelling.get(key, key), None, 0))
        given = verdicts.get(key, {})
        if count or given:
            reviews.append(
                TagReview(tag, count, given.get("accept", 0), given.get("reject", 0), threshold)
            )
    return sorted(reviews, key=lambda review: (-review.waiting, review.tag))


def list_suggestions(library: Library, request: ReviewRequest) -> ReviewPage:
    """A page of suggestions that wait and that nobody else has leased.

    Raises CursorError, UnknownCollectionError.
    """
    with closing(_waiting(library, request)) as waiting:
        found = list(islice(waiting, request.k + 1))  # one more: is there a next page?
    cursor = _cursor(request, found[request.k - 1][1]) if len(found) > request.k else ""
    return ReviewPage([_with_starts(library, sound) for sound, _ in found[: request.k]], cursor)


def lease(library: Library, request: ReviewRequest) -> ReviewPage:
    """A page of suggestions that only `request.holder` gets for LEASE_SECONDS. Those of an earlier
    page are among them where they still wait, and are free for others where they are not.

    Raises LibraryError for no holder, CursorError, UnknownCollectionError.
    """
    if not request.holder:
        raise LibraryError("reviewer: expected a name, got none")
    while True:
        page = list_suggestions(library, request)
        with library.catalogue.database.transaction() as db:
            kept = _claim(db, page.sounds, request)
        if kept or not page.sounds:  # else others have been faster
            return replace(page, sounds=kept, seconds=LEASE_SECONDS)


def _claim(
    db: sqlite3.Connection, sounds: Sequence[SuggestedSound], request: ReviewRequest
) -> list[SuggestedSound]:
    """Lease those sounds that others have not leased or judged meanwhile, in place of earlier."""
    now = time.time()
    db.execute("DELETE FROM leases WHERE until <= ? OR holder = ?", (now, request.holder))
    rows = [sound.clip.row for sound in sounds]
    others = _leased(db, rows, request)
    listed = (json.dumps(rows),)
    waiting = set(
        db.execute(
            "SELECT row, tag FROM suggestions WHERE row IN (SELECT value FROM json_each(?))", listed
        ).fetchall()
    )
    kept = []
    for sound in sounds:
        row = sound.clip.row
        tags = tuple(tag for tag in sound.tags if (row, tag.number) in waiting)
        if tags and not any((row, tag.number) in others for tag in tags):
            kept.append(replace(sound, tags=tags))
    db.executemany(
        "INSERT INTO leases (row, tag, holder, until) VALUES (?, ?, ?, ?)",
        [
            (sound.clip.row, tag.number, request.holder, now + LEASE_SECONDS)
            for sound in kept
            for tag in sound.tags
        ],
    )
    return kept


def _leased(
    db: sqlite3.Connection, rows: Sequence[int], request: ReviewRequest
) -> set[tuple[int, int]]:
    """What others have leased of these clips: (row, tag)."""
    statement = (
        "SELECT row, tag FROM leases WHERE until > ? AND holder != ? "
        "AND row IN (SELECT value FROM json_each(?))"
    )
    values = (time.time(), request.holder, json.dumps(list(rows)))
    return set(db.execute(statement, values).fetchall())


def _waiting(library: Library, request: ReviewRequest) -> Generator[tuple[SuggestedSound, Place]]:
    """All that wait, from the request's cursor on, with their places."""
    passing = None if request.where.empty else library.passing(request.where)
    tags = {
        number: _Tag(number, tag, key, threshold)
        for number, tag, key, threshold in library.catalogue.database.query(
            "SELECT number, tag, key, threshold FROM suggested_tags"
        )
    }
    after = _after(request) if request.cursor else None
    key = text_key(request.tag)
    only = next((tag for tag in tags.values() if tag.key == key), None)
    if request.tag and only is None:
        return  # the model does not suggest it
    some = _some(passing)
    statement, values = (
        _of_tag(only, request.order, after, *some) if only else _of_sounds(after, *some)
    )
    with (
        library.catalogue.database.reading() as db,
        closing(db.execute(statement, values)) as places,
    ):
        while block := places.fetchmany(BLOCK):
            rows = np.array([row for row, _ in block], np.int64)
            if passing is not None:
                rows = rows[are_among(rows, passing)]
            sounds = _open(library, db, rows.tolist(), request, tags) if len(rows) else {}
            for row, probability in block:
                if row not in sounds:
                    continue
                clip, found = sounds[row]
                if only is not None:
                    found = tuple(one for one in found if one.number == only.number)
                if found:
                    yield SuggestedSound(clip, found), (probability, row)


def _some(passing: Rows | None) -> tuple[str, list[Any]]:
    """A condition that few clips pass, and its values; true where many pass."""
    if passing is None or len(passing) > LOOKED_UP:
        return "true", []
    return "suggestions.row IN (SELECT value FROM json_each(?))", [json.dumps(passing.tolist())]


def _of_tag(
    tag: _Tag, order: Order, after: Place | None, some: str, of_some: list[Any]
) -> tuple[str, list[Any]]:
    """The statement and values of (row, probability) of what waits of a tag."""
    direction, sign = ("DESC", "<") if order == "surest" else ("ASC", ">")
    statement = (
        "SELECT row, probability FROM suggestions "  # noqa: S608 (constants)
        f"WHERE {some} AND tag = ? AND probability >= ?"
    )
    values: list[Any] = [*of_some, tag.number, tag.threshold]
    if after is not None:
        probability, row = after
        statement += f" AND (probability {sign} ? OR probability = ? AND row > ?)"
        values += [probability, probability, row]
    return f"{statement} ORDER BY probability {direction}, row", values


def _of_sounds(after: Place | None, some: str, of_some: list[Any]) -> tuple[str, list[Any]]:
    """The statement and values of (row, 0) of the sounds that have something that waits."""
    statement = (
        "SELECT DISTINCT suggestions.row, 0.0 FROM suggestions INDEXED BY suggestions_by_row "  # noqa: S608
        "CROSS JOIN suggested_tags ON number = suggestions.tag AND probability >= threshold "
        f"WHERE {some} AND suggestions.row > ? ORDER BY suggestions.row"
    )
    return statement, [*of_some, after[1] if after is not None else 0]


def _open(
    library: Library,
    db: sqlite3.Connection,
    rows: Sequence[int],
    request: ReviewRequest,
    tags: dict[int, _Tag],
) -> dict[int, tuple[Clip, tuple[Suggested, ...]]]:
    """Of these clips, all that waits, by row; sound by sound none of which another has a part."""
    clips = library.catalogue.clips_by_row(rows)
    judged, leased = judged_keys(db, rows), _leased(db, rows, request)
    if not request.tag:
        held = {row for row, _ in leased}
        clips = {row: clip for row, clip in clips.items() if row not in held}
    own = {row: set(map(text_key, clip.tags)) for row, clip in clips.items()}
    found: dict[int, list[Suggested]] = {}
    for row, number, probability in db.execute(
        "SELECT row, tag, probability FROM suggestions INDEXED BY suggestions_by_row "
        "WHERE row IN (SELECT value FROM json_each(?))",
        (json.dumps(list(clips)),),
    ):
        tag = tags.get(number)
        if tag is None or probability < tag.threshold or (row, number) in leased:
            continue
        if tag.key not in own[row] and tag.key not in judged.get(row, ()):
            found.setdefault(row, []).append(Suggested(number, tag.tag, probability))
    sign = -1 if request.order == "surest" else 1
    return {
        row: (
            clips[row],
            tuple(sorted(waiting, key=lambda one: (sign * one.probability, one.number))),
        )
        for row, waiting in found.items()
    }


def _with_starts(library: Library, sound: SuggestedSound) -> SuggestedSound:
    """The sound with where its tags are nearest, if it is a long one."""
    held = library.catalogue.windows([sound.clip.row]).get(sound.clip.row)
    if held is None:
        return sound
    starts, windows = held
    vectors = library.embedder.vocabulary_vectors[[tag.number for tag in sound.tags]]
    best = np.argsort(-(vectors @ windows.T), axis=1, kind="stable")[:, :MAX_STARTS]
    tags = zip(sound.tags, starts[best].tolist(), strict=True)
    return replace(sound, tags=tuple(replace(tag, starts=tuple(at)) for tag, at in tags))


def _query(request: ReviewRequest) -> str:
    return digest(f"{text_key(request.tag)} {request.order if request.tag else ''} {request.where}")


def _cursor(request: ReviewRequest, place: Place) -> str:
    values = json.dumps([_query(request), *place]).encode()
    return base64.urlsafe_b64encode(values).decode().rstrip("=")


def _after(request: ReviewRequest) -> Place:
    """The last of the page before. Raises CursorError."""
    cursor = request.cursor
    problem = CursorError(f"cursor: expected one that a list gave, got {cursor[:40]!r}")
    if len(cursor) > MAX_CURSOR_CHARACTERS:
        raise problem
    try:
        query, probability, row = json.loads(
            base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        )
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise problem from error
    if query != _query(request):
        raise CursorError("cursor: expected one of this very list, got another's")
    if type(probability) is not float or type(row) is not int or not 0 <= row < 2**62:
        raise problem
    return probability, row
