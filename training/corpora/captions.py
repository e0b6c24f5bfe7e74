"""Captioned sounds: the tables of Clotho and AudioCaps, or any of their shape.

Clotho: `file_name,caption_1,…,caption_5`, with files of these names in a folder. AudioCaps:
`audiocap_id,youtube_id,start_time,caption`, a caption a row, with files named `{youtube_id}` or
`{youtube_id}_{start_time}` in any format; some of its videos are gone for everyone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from earmark.model.audio.formats import SUFFIXES
from earmark.training.corpora.files import read_table
from earmark.training.errors import CorpusError

_CLOTHO = re.compile(r"caption_\d+")
_AUDIOCAPS = ("youtube_id", "start_time", "caption")


@dataclass(frozen=True)
class CaptionedSounds:
    """`captions`: of each file that is there; `missing`: names of the sounds that are not;
    `shape`: the data set whose columns the table has."""

    shape: str
    captions: dict[Path, list[str]]
    missing: list[str]


def read_captions(table: Path, audio: Path) -> CaptionedSounds:
    """The captioned sounds of a table, whose files lie in the folder `audio`.

    Raises CorpusError for other columns, for two segments of one file, or where no sound is there.
    """
    rows = read_table(table, ())
    for number, row in enumerate(rows, start=1):
        if None in row:
            raise CorpusError(f"{table}: row {number}: expected quotes around a text with commas")
    columns = list(rows[0]) if rows else []
    if not audio.is_dir():
        raise CorpusError(f"audio: expected a folder, got {audio}")
    numbered = sorted(filter(_is_numbered, columns), key=lambda name: int(name.split("_")[1]))
    if "file_name" in columns and numbered:
        found = _clotho(rows, numbered, audio)
    elif set(_AUDIOCAPS) <= set(columns):
        found = _audiocaps(rows, audio)
    else:
        raise CorpusError(
            f"{table}: expected the columns file_name and caption_1, …, or "
            f"{', '.join(_AUDIOCAPS)}, got {', '.join(columns) or 'no rows'}"
        )
    if not found.captions:
        count = len(found.missing)
        raise CorpusError(f"{table}: none of its {count} captioned sounds is in {audio}")
    return found


def _is_numbered(column: str) -> bool:
    return _CLOTHO.fullmatch(column) is not None


def _clotho(
    rows: Sequence[Mapping[str, str]], columns: Sequence[str], audio: Path
) -> CaptionedSounds:
    captions: dict[Path, list[str]] = {}
    missing: dict[str, None] = {}
    for row in rows:
        texts = [text for column in columns if (text := row[column].strip())]
        path = audio / row["file_name"].strip()
        if texts and path.is_file():
            captions.setdefault(path, []).extend(texts)
        elif texts:
            missing[row["file_name"].strip()] = None
    return CaptionedSounds("Clotho", captions, list(missing))


def _audiocaps(rows: Sequence[Mapping[str, str]], audio: Path) -> CaptionedSounds:
    files = {path.stem: path for path in sorted(audio.iterdir()) if path.suffix.lower() in SUFFIXES}
    captions: dict[Path, list[str]] = {}
    segments: dict[Path, str] = {}
    missing: dict[str, None] = {}
    for row in rows:
        youtube, start, text = (row[column].strip() for column in _AUDIOCAPS)
        segment = f"{youtube}_{start.removesuffix('.0')}"
        path = files.get(segment, files.get(youtube))
        if text and path is not None:
            if (other := segments.setdefault(path, segment)) != segment:
                raise CorpusError(f"{path}: expected one segment of it, got {other} and {segment}")
            captions.setdefault(path, []).append(text)
        elif text:
            missing[segment] = None
    return CaptionedSounds("AudioCaps", captions, list(missing))
