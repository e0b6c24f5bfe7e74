"""Metadata of sounds: the record, its limits, and cleaning of what people and files say.

Tags are stored separated by spaces, so a tag that contains spaces becomes a compound ("metal roof"
→ "metal-roof"). What is kept is NFC; control characters go, and so do those that show nothing
(`model.text.text_key`). Every way into the catalogue cleans the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from dataclasses import field as dataclass_field
from functools import cached_property
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from earmark.model.text.text_key import distinct, text_key, visible

UNTITLED = "Untitled"  # a sound whose file's name holds no title
MAX_TITLE_CHARACTERS = 200  # of a title made from a file name
MAX_CHARACTERS = {  # of each field; of each tag
    "title": 1_000,
    "tags": 200,
    "author": 1_000,
    "source": 1_000,
    "licence": 1_000,
    "description": 20_000,
    "recorded": 40,
}
MAX_TAGS = 1_000

_UNPRINTABLE_CATEGORIES = frozenset(("Cc", "Cs"))
# The forms of ISO 8601 that a recording's date may have: year, month, day, day with a time.
DATE = (
    r"[12]\d{3}"  # a year
    r"(-(0[1-9]|1[0-2])"
    r"|-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|[12]\d))"
    r"(T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)?)?)?"
)
_DATE = re.compile(DATE, re.ASCII)
_TAG_SEPARATORS = re.compile(r"[;,\s]+")


@dataclass(frozen=True)
class Metadata:
    """The metadata of a sound. An empty field is unknown.

    `recorded`: when, in ISO 8601: a year, a month, a day, or a day with a time.
    """

    title: str = ""
    tags: tuple[str, ...] = ()
    author: str = ""
    source: str = ""
    licence: str = ""
    description: str = ""
    recorded: str = ""

    @classmethod
    def from_row(cls, row: Sequence[str]) -> Metadata:
        """Metadata from database values in the order of METADATA_FIELDS."""
        title, tags, *texts = row
        return cls(title, tuple(tags.split()), *texts)

    def to_row(self) -> dict[str, str]:
        """Database values by column: the inverse of `from_row`."""
        values = {name: getattr(self, name) for name in METADATA_FIELDS}
        return values | {"tags": " ".join(self.tags)}

    def problem(self) -> str | None:
        """A message about the first field that is too long, or no date; None if all are valid."""
        for name, limit in MAX_CHARACTERS.items():
            texts = self.tags if name == "tags" else (getattr(self, name),)
            for text in texts:
                if len(text) > limit:
                    kind = "tag" if name == "tags" else name
                    return (
                        f"{kind}: expected at most {limit} characters, "
                        f"got {len(text)}: {text[:40]!r}…"
                    )
        if len(self.tags) > MAX_TAGS:
            return f"tags: expected at most {MAX_TAGS}, got {len(self.tags)}"
        if self.recorded and not _is_date(self.recorded):
            return (
                "recorded: expected a date such as 2026, 2026-05-31 or 2026-05-31T06:30:00, "
                f"got {self.recorded!r}"
            )
        return None

    def clean(self) -> Metadata:
        """This metadata as the catalogue keeps it."""
        return replace(
            self,
            title=clean_line(self.title),
            tags=printable_tags(self.tags),
            author=clean_line(self.author),
            source=clean_line(self.source),
            licence=clean_line(self.licence),
            description=clean_lines(self.description),
            recorded=clean_line(self.recorded),
        )

    def fitted(self) -> Metadata:
        """This metadata as the catalogue keeps it, without what it does not take: for what a file
        tells, which nobody can be asked to mend."""
        clean = self.clean()
        texts = {
            name: getattr(clean, name)[:limit].strip()
            for name, limit in MAX_CHARACTERS.items()
            if name != "tags"
        }
        tags = [tag for tag in clean.tags if len(tag) <= MAX_CHARACTERS["tags"]]
        recorded = clean.recorded if _is_date(clean.recorded) else ""
        return Metadata(**{**texts, "tags": tuple(tags[:MAX_TAGS]), "recorded": recorded})

    def with_defaults(self, defaults: Metadata) -> Metadata:
        """This metadata, with empty fields taken from `defaults`."""
        return Metadata(
            self.title or defaults.title,
            self.tags or defaults.tags,
            self.author or defaults.author,
            self.source or defaults.source,
            self.licence or defaults.licence,
            self.description or defaults.description,
            self.recorded or defaults.recorded,
        )


@dataclass(frozen=True)
class MetadataChange:
    """A change of the metadata of any number of sounds: `fields` to set, then tags to remove, then
    tags to add after those that a sound has. Tags are compared by `text_key`."""

    fields: Mapping[str, Any] = dataclass_field(default_factory=dict)
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()

    def clean(self) -> MetadataChange:
        """This change as the catalogue keeps texts."""
        clean = Metadata(**self.fields).clean()
        return MetadataChange(
            {name: getattr(clean, name) for name in self.fields},
            printable_tags(self.add_tags),
            printable_tags(self.remove_tags),
        )

    def problem(self) -> str | None:
        """A message about what is too long, or no date; None if all is valid."""
        return Metadata(**self.fields).problem() or Metadata(tags=self.add_tags).problem()

    @cached_property
    def _removed(self) -> frozenset[str]:
        return frozenset(map(text_key, self.remove_tags))

    def apply(self, metadata: Metadata) -> Metadata:
        """The metadata after a change that is clean."""
        changed = replace(metadata, **self.fields) if self.fields else metadata
        tags = changed.tags
        if self._removed:
            tags = tuple(tag for tag in tags if text_key(tag) not in self._removed)
        if self.add_tags:
            tags = tuple(distinct((*tags, *self.add_tags)))
        return changed if tags == changed.tags else replace(changed, tags=tags)


METADATA_FIELDS = tuple(field.name for field in fields(Metadata))  # database columns, in order


def _is_date(text: str) -> bool:
    """Whether a text is a date, alone or with a time of day."""
    return _DATE.fullmatch(text) is not None


def clean_line(text: str) -> str:
    """The text on one line, without spaces around it."""
    return " ".join(_printable(text.replace("\0", " ")).split())


def clean_lines(text: str) -> str:
    """The text with its line breaks, without spaces around its lines."""
    return "\n".join(" ".join(_printable(line).split()) for line in text.splitlines()).strip()


def printable_tag(text: str) -> str:
    """One tag; empty if nothing printable is left."""
    return "-".join(_printable(text.replace(";", " ")).split())


def printable_tags(texts: Iterable[str]) -> tuple[str, ...]:
    """Printable tags in their order, without empty ones and those that equal an earlier one."""
    return tuple(distinct(tag for text in texts if (tag := printable_tag(text))))


def split_tags(texts: Iterable[str]) -> tuple[str, ...]:
    """The tags of texts that list several, separated by spaces, commas or semicolons."""
    return printable_tags(tag for text in texts for tag in _TAG_SEPARATORS.split(text))


def title_from_file_name(file_name: str) -> str:
    """A title from a file's name, on disk or as a client sends it. May be empty; never a path."""
    name = PureWindowsPath(PurePosixPath(clean_line(file_name)).name).stem
    return clean_line(name.replace("_", " ").replace("-", " "))[:MAX_TITLE_CHARACTERS].strip(" .")


def _printable(text: str) -> str:
    """The text with all white space as spaces, without unprintable characters, in NFC."""
    if text.isascii() and text.isprintable():
        return text
    return visible(
        "".join(
            " " if character.isspace() else character
            for character in text
            if character.isspace() or unicodedata.category(character) not in _UNPRINTABLE_CATEGORIES
        )
    )
