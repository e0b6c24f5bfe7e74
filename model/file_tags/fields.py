"""What of a sound's metadata is written into its file, and whether it reads back.

What the file says already is kept unless it is to be overwritten; tags are added to those that are
there. Everything is compared as `model.audio.file_metadata` reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from earmark.model.audio.file_metadata import FileMetadata, as_read

TEXTS = tuple(field.name for field in fields(FileMetadata) if field.name != "tags")


@dataclass(frozen=True)
class FieldChanges:
    """The fields that a file gets: those of `new` that are not empty.

    `replaces_tags`: its tags replace all that are there, else they are added. `kept`: the names of
    fields in which the file says something else, which stays.
    """

    new: FileMetadata
    replaces_tags: bool = False
    kept: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.new != FileMetadata()

    def is_in(self, before: FileMetadata, after: FileMetadata) -> bool:
        """Whether a file that read as `before` has these changes, and no others, in `after`.

        A file's description also holds what it says of copyright.
        """
        written = as_read(self.new)
        for name in TEXTS:
            new, found = getattr(written, name), getattr(after, name)
            if name == "description" and new:
                if _words(new) not in _words(found):
                    return False
            elif _words(found) != _words(new or getattr(before, name)):
                return False
        wanted = self.new.tags if self.replaces_tags else (*before.tags, *self.new.tags)
        return _keys(after.tags) == _keys(wanted or before.tags)


def changes(found: FileMetadata, wanted: FileMetadata, *, overwrite: bool) -> FieldChanges:
    """What has to be written so that a file that says `found` says what is `wanted`, too; with
    `overwrite`, instead. Empty fields of `wanted` change nothing."""
    read = as_read(wanted)
    wanted = replace(wanted, recorded=read.recorded, tags=read.tags)
    texts = {
        name: getattr(wanted, name)
        for name in TEXTS
        if (text := getattr(read, name)) and _words(text) != _words(getattr(found, name))
    }
    kept = () if overwrite else tuple(name for name in texts if getattr(found, name))
    texts = {name: text for name, text in texts.items() if name not in kept}
    there = _keys(found.tags)
    replaces = overwrite and bool(wanted.tags) and _keys(wanted.tags) != there
    missing = tuple(tag for tag in wanted.tags if not _keys([tag]) <= there)
    tags = wanted.tags if replaces else () if overwrite else missing
    return FieldChanges(FileMetadata(**texts, tags=tags), replaces, kept)


def _words(text: str) -> str:
    return " ".join(text.split())


def _keys(tags: tuple[str, ...] | list[str]) -> frozenset[str]:
    """Tags as they are compared: a space counts as the hyphen that the catalogue puts there."""
    return frozenset("-".join(tag.casefold().split()) for tag in tags)
