"""Each kind of tags: where it has a field, and how a text is put there.

A field that gets a text loses all others that `model.audio.tag_blocks` would read for it. Kinds are
those of that module; `keywords` hold the tags, and `genre` those that other programs put there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from earmark.model.audio.file_metadata import licence_of
from earmark.model.audio.tag_blocks import COMMENTS, ID3, ITUNES, NAMES
from earmark.model.file_tags.fields import TEXTS, FieldChanges

SECONDS = 19  # characters of a date with a time of day
FREE = "----:com.apple.iTunes:"
VORBIS = {
    "title": "TITLE",
    "author": "ARTIST",
    "description": "DESCRIPTION",
    "licence": "LICENSE",
    "recorded": "DATE",
    "source": "SOURCE",
    "keywords": "KEYWORDS",
}
APE = {**{kind: name.title() for kind, name in VORBIS.items()}, "recorded": "Year"}
MP4 = {
    "title": "\xa9nam",
    "author": "\xa9ART",
    "description": "\xa9cmt",
    "licence": f"{FREE}LICENSE",
    "recorded": "\xa9day",
    "source": f"{FREE}SOURCE",
    "keywords": "keyw",
}


class Dialect(Protocol):
    """One kind of tags in one file."""

    def drop(self, kind: str) -> None:
        """Take out all texts of a kind."""

    def put(self, kind: str, text: str) -> None:
        """Put in the text of a kind."""

    def keywords(self) -> Sequence[str]:
        """The texts of keywords that are there."""


def apply(changes: FieldChanges, dialect: Dialect) -> None:
    """Put the changes into tags."""
    for kind in TEXTS:
        if text := getattr(changes.new, kind):
            dialect.drop(kind)
            dialect.put(kind, text)
    if changes.new.tags:
        before: Sequence[str] = () if changes.replaces_tags else dialect.keywords()
        if changes.replaces_tags:
            dialect.drop("genre")
        dialect.drop("keywords")
        dialect.put("keywords", "; ".join((*before, *changes.new.tags)))


class Id3:
    """Frames of ID3, in mutagen's tag."""

    def __init__(self, tags: Any) -> None:  # noqa: ANN401 (mutagen's types know half of it)
        self._tags = tags

    def drop(self, kind: str) -> None:
        """Take out all frames of a kind."""
        for key, frame in list(self._tags.items()):
            found = _kind_of_frame(frame)
            is_licence = found == "copyright" and licence_of(str(frame))
            if found == kind or (kind == "licence" and is_licence):
                del self._tags[key]

    def put(self, kind: str, text: str) -> None:
        """Put in the frame of a kind; what ID3 has none for, as a frame of the user's."""
        from mutagen import id3

        frames: dict[str, Any] = {"title": id3.TIT2, "author": id3.TPE1, "recorded": id3.TDRC}
        if kind == "description":
            self._tags.add(id3.COMM(encoding=3, lang="eng", desc="", text=text))
        elif kind in frames:
            short = text[:SECONDS] if kind == "recorded" else text
            self._tags.add(frames[kind](encoding=3, text=short))
        else:
            self._tags.add(id3.TXXX(encoding=3, desc=VORBIS[kind], text=text))
        if kind == "recorded" and len(text) > SECONDS:  # ID3 knows no zones
            self._tags.add(id3.TXXX(encoding=3, desc="RECORDED DATE", text=text))
        if kind == "licence" and licence_of(text):
            self._tags.add(id3.TCOP(encoding=3, text=text))

    def keywords(self) -> Sequence[str]:
        """The texts of keywords that are there."""
        return [
            text
            for frame in self._tags.getall("TXXX")
            if NAMES.get(frame.desc.casefold()) == "keywords"
            for text in frame.text
        ]


def _kind_of_frame(frame: Any) -> str | None:  # noqa: ANN401 (as above)
    if frame.FrameID == "TXXX":
        return NAMES.get(frame.desc.casefold())
    if frame.FrameID == "COMM":
        return "description" if frame.desc.casefold() in COMMENTS else None
    return "genre" if frame.FrameID == "TCON" else ID3.get(frame.FrameID)


class Named:
    """Texts by name: Vorbis comments and APEv2, in mutagen's dictionaries."""

    def __init__(self, tags: Any, names: Mapping[str, str] = VORBIS) -> None:  # noqa: ANN401
        self._tags, self._names = tags, names

    def drop(self, kind: str) -> None:
        """Take out all texts of a kind."""
        for name in list(self._tags.keys()):
            found = NAMES.get(name.casefold())
            is_licence = found == "copyright" and licence_of(" ".join(map(str, self._tags[name])))
            if found == kind or (kind == "licence" and is_licence):
                del self._tags[name]

    def put(self, kind: str, text: str) -> None:
        """Put in the text of a kind."""
        self._tags[self._names[kind]] = text

    def keywords(self) -> Sequence[str]:
        """The texts of keywords that are there."""
        names = [name for name in self._tags.keys() if NAMES.get(name.casefold()) == "keywords"]  # noqa: SIM118
        return [str(text) for name in names for text in self._tags[name]]


class Mp4:
    """Atoms of MP4 as iTunes has them, in mutagen's dictionary."""

    def __init__(self, tags: Any) -> None:  # noqa: ANN401 (as above)
        self._tags = tags

    def drop(self, kind: str) -> None:
        """Take out all atoms of a kind."""
        for key in list(self._tags.keys()):
            free = NAMES.get(key.rpartition(":")[2].casefold()) if key.startswith("----") else None
            found = free or ITUNES.get(key.encode("latin-1", "replace"))
            is_licence = found == "copyright" and licence_of(" ".join(map(_text, self._tags[key])))
            if found == kind or (kind == "licence" and is_licence):
                del self._tags[key]

    def put(self, kind: str, text: str) -> None:
        """Put in the atom of a kind."""
        name = MP4[kind]
        self._tags[name] = [text.encode() if name.startswith(FREE) else text]
        if kind == "licence" and licence_of(text):
            self._tags["cprt"] = [text]

    def keywords(self) -> Sequence[str]:
        """The texts of keywords that are there."""
        return [_text(text) for text in self._tags.get("keyw", ())]


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
