"""What a sound's file tells of itself: title, author, tags, description, licence, source, recording
date.

Read where sounds are decoded (`model.inference.decode_pool`), since files are untrusted: whatever
is wrong with the metadata, there is less or none of it, and no error. Texts are as they stand but
for white space at their ends, and never longer than the catalogue takes them.
"""

from __future__ import annotations

import datetime
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from earmark.model.audio.tag_blocks import Kind, blocks
from earmark.model.cloud.cloud_file import CloudFile, StoredFile

MAX_TEXT, MAX_DESCRIPTION, MAX_TAG = 1_000, 20_000, 200  # characters
MAX_TAGS = 1_000

# What writers put where they know nothing.
_NOTHING = frozenset(
    ("other", "unknown", "none", "default", "undefined", "unknown artist", "unknown genre")
)
_BLANKS = "\0 \r\n\t"
_SEPARATORS = re.compile(r"[;,/|\0\n]")
# Originators of `bext` that are no authors: recorders and programs.
_MACHINES = re.compile(
    r"zoom|tascam|sound ?dev|pro ?tools|reaper|audition|wavelab|nuendo|cubase|logic|audacity|lavf|"
    r"ffmpeg|sony|marantz|olympus|roland|nagra|aaton|zaxcom|wave ?agent|ableton|adobe|steinberg|"
    r"soundminer|basehead|sequoia|samplitude|libsndfile|recorder",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"creativecommons\.org/(?:licenses|publicdomain)/(by(?:-nc)?(?:-nd|-sa)?|zero|mark)/(\d\.\d)"
    r"(?:/([a-z]{2,3}|scotland)(?=[/\s]|$))?",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"\bCC[ -]?(?:(0)(?:[ -]1\.0)?|(BY(?:[ -]NC)?(?:[ -](?:SA|ND))?)[ -]v?(\d\.\d))"
    r"(?![.\d]|[ -](?-i:[A-Z]{2,3})\b)",  # adapted to a country: another licence
    re.IGNORECASE,
)
# The code of a recording (ISRC), which some writers put where RIFF has the source.
_CODE = re.compile(r"[A-Z]{2}-?[A-Z0-9]{3}-?\d{2}-?\d{5}", re.ASCII)
_DATE = re.compile(
    r"(\d{4})(?:([-_:./ ]?)(\d\d)(?:\2(\d\d)"
    r"(?:[T ]+(\d\d)[-_:. ]?(\d\d)(?:[-_:. ]?(\d\d)(?:\.\d+)?)? ?(Z|[+-]\d\d:?\d\d)?)?)?)?",
    re.ASCII,
)


@dataclass(frozen=True)
class FileMetadata:
    """What a file tells of itself; an empty field: nothing. `recorded` is a date of ISO 8601, at
    least its year, at most with a time and zone."""

    title: str = ""
    author: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""
    licence: str = ""
    recorded: str = ""
    source: str = ""


def read_file_metadata(source: StoredFile | bytes) -> FileMetadata:
    """The metadata in a file, given as its path or its bytes. Raises nothing: of a file in a store
    `CloudFile.failure` tells whether all of it could be read."""
    texts: dict[Kind, list[str]] = defaultdict(list)
    with (
        suppress(Exception),  # whatever wild bytes make a parser raise
        _opened(source) as file,
    ):
        for parse, data in blocks(file):
            with suppress(Exception):
                for kind, text in parse(data):
                    if text.strip(_BLANKS) and len(texts[kind]) < MAX_TAGS:
                        texts[kind].append(text.strip(_BLANKS)[:MAX_DESCRIPTION])
    return _metadata(texts)


def _opened(source: StoredFile | bytes) -> BinaryIO:
    if isinstance(source, CloudFile):
        return io.BufferedReader(source.reader())
    return source.open("rb") if isinstance(source, Path) else io.BytesIO(source)


def _metadata(texts: Mapping[Kind, Sequence[str]]) -> FileMetadata:
    authors = _known(texts["author"])
    makers = [text for text in _known(texts["originator"]) if not _MACHINES.search(text)]
    licences = [licence_of(text) for text in (*texts["licence"], *texts["copyright"])]
    notices = [text for text in texts["copyright"] if not licence_of(text)]
    descriptions = dict.fromkeys((*texts["description"], *notices))
    dates = [date for text in texts["recorded"] if (date := iso_date(text))]
    return FileMetadata(
        title=next(iter(texts["title"]), "")[:MAX_TEXT],
        author=", ".join(dict.fromkeys(authors or makers[:1]))[:MAX_TEXT],
        tags=_tags(texts["genre"], texts["keywords"]),
        description="\n".join(descriptions)[:MAX_DESCRIPTION],
        licence=next(filter(None, (*licences, *texts["licence"])), "")[:MAX_TEXT],
        recorded=max(dates, key=len, default=""),
        source=next((text for text in texts["source"] if not _CODE.fullmatch(text)), "")[:MAX_TEXT],
    )


def _known(texts: Iterable[str]) -> list[str]:
    return [text for text in texts if text.casefold() not in _NOTHING]


def _tags(genres: Iterable[str], keywords: Iterable[str]) -> tuple[str, ...]:
    """Genres and keywords as tags; keywords may be separated by spaces alone."""
    found = [part for text in genres for part in _SEPARATORS.split(text)]
    for text in keywords:
        found += _SEPARATORS.split(text) if _SEPARATORS.search(text) else text.split()
    tags = dict.fromkeys(_known(part.strip() for part in found))
    return tuple(tag for tag in tags if 0 < len(tag) <= MAX_TAG)[:MAX_TAGS]


def as_read(metadata: FileMetadata) -> FileMetadata:
    """What a file tells that holds this metadata, and nothing else: less where a text would count
    as none, or be cut; dates without fractions of a second, tags without separators."""
    texts: dict[Kind, list[str]] = defaultdict(list)
    for kind in ("title", "author", "description", "licence", "recorded", "source"):
        if text := getattr(metadata, kind).strip(_BLANKS):
            texts[kind].append(text[:MAX_DESCRIPTION])
    texts["keywords"] += metadata.tags
    return _metadata(texts)


def licence_of(text: str) -> str:
    """The licence of Creative Commons that a text names: its SPDX identifier, or its address where
    it is adapted to a country; empty if it names none."""
    if found := _ADDRESS.search(text):
        name, version, country = (part and part.lower() for part in found.groups())
        if country:
            return f"https://creativecommons.org/licenses/{name}/{version}/{country}/"
        names = {"zero": "CC0", "mark": "CC-PDM"}
        return f"{names.get(name) or f'CC-{name.upper()}'}-{version}"
    if found := _NAME.search(text):
        zero, name, version = found.groups()
        return "CC0-1.0" if zero else f"CC-{name.upper().replace(' ', '-')}-{version}"
    return ""


def iso_date(text: str) -> str:
    """The date in a text that writes it year first, as ISO 8601; empty if there is none.

    A time of day that does not exist is left out, and so are a month and a day that do not.
    """
    found = _DATE.fullmatch(text.strip(_BLANKS))
    if not found:
        return ""
    year, _, month, day, hour, minute, second, zone = found.groups()
    date = _first_valid(f"{year}-{month}-{day}", f"{year}-{month}", year)
    if hour is None or len(date) < 10:
        return date
    if zone and zone != "Z":
        zone = f"{zone[:3]}:{zone[-2:]}"
    return _first_valid(f"{date}T{hour}:{minute}:{second or '00'}{zone or ''}", date)


def _first_valid(*texts: str) -> str:
    for text in texts:
        with suppress(ValueError):
            datetime.datetime.fromisoformat(text + "-01-01"[len(text) - 4 :])
            return text
    return ""
