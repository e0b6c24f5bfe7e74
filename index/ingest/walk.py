"""Which sounds a path stands for: those of a file, a folder, a manifest or another library; or an
address: those of a file or a folder in a store.

A folder is searched with all below it, and links to folders are followed: each folder is read once,
under its real path. Not searched are hidden folders, recycle bins and other folders that a system
keeps beside people's own (`_SYSTEM_FOLDERS`), and Earmark libraries, unless they are named
themselves. What cannot be read is recorded, and the search goes on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from earmark.index.catalogue.catalogue import FILE_NAME as CATALOGUE_FILE
from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.embedded_sound import SourceFile, printable_path
from earmark.index.catalogue.metadata import Metadata
from earmark.index.catalogue.records import id_problem
from earmark.index.files.paths import followed, is_file, is_folder, real_folder
from earmark.model.audio.formats import SUFFIXES
from earmark.model.cloud.addresses import checked_address
from earmark.model.cloud.cloud_file import (
    CloudFile,
    Entry,
    StoredFile,
    entries_in,
    entry_at,
    stored_file,
)
from earmark.model.core import manifest
from earmark.model.core.errors import InputError, ManifestError

_UNKNOWN = Metadata()
_RELATIVE_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(.+)", re.DOTALL)
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
# Without case; those that begin with a dot are hidden anyway.
_SYSTEM_FOLDERS = re.compile(
    r"\$recycle\.bin|recycler|recycled|system volume information|found\.\d{3}|\$windows\.~\w+"
    r"|lost\+found|__macosx|network trash folder|temporary items|thevolumesettingsfolder"
    r"|@eadir|#recycle|#snapshot|@recycle|@recently-snapshot|@snapshot|@sharebin|@sharesnap|@tmp"
    r"|@transcode|~snapshot|trashbox|network recycle bin( \d+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Manifests:
    """What is a manifest and how it is read. `named`: manifests whatever their names end in;
    `encoding`: of those without a byte-order mark, None for UTF-8."""

    named: frozenset[Path] = frozenset()
    encoding: str | None = None

    def contain(self, path: Path) -> bool:
        """Whether a file is a manifest, by its name."""
        return path in self.named or path.suffix.lower() in manifest.SUFFIXES


class Walk:
    """A search for the sounds of paths.

    `passed_over`: the files in searched folders that are no sounds by their names, counted by
    ending. `failed`: what could not be read, path → reason. `links`: paths of links whose files are
    among the sounds. `folders`: the real paths of the folders that were read; `roots`: of those
    that were named, or their addresses.
    """

    def __init__(self, manifests: Manifests | None = None) -> None:
        self._manifests = manifests or Manifests()
        self.passed_over: Counter[str] = Counter()
        self.failed: dict[str, str] = {}
        self.links: set[str] = set()
        self.folders: set[Path] = set()
        self.roots: list[StoredFile] = []
        self._real_folders: dict[Path, Path] = {}
        self._listed: dict[str, dict[str, CloudFile]] = {}  # by their folders' addresses

    def sounds(self, path: StoredFile) -> Iterator[SourceFile]:
        """The sounds of a path, or an address, that a person named.

        Raises InputError if there is nothing, ManifestError, LibraryError.
        """
        if isinstance(path, CloudFile):
            yield from self._of_address(path)
            return
        is_manifest = self._manifests.contain(path)
        try:
            if stat.S_ISDIR(path.stat().st_mode):
                is_manifest = False
                yield from self._of_named_folder(real_folder(path))
                return
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise InputError(f"path: no such file or folder: {path}") from error
            if error.errno in _ABSENT:
                raise InputError(f"path: cannot be read ({error.strerror}): {path}") from error
            if not is_manifest:
                self._fail(path, error)
                return
        if is_manifest:
            yield from self._of_manifest(path)
        else:
            yield self._file(path)

    def _of_named_folder(self, folder: Path) -> Iterator[SourceFile]:
        if _holds_library(folder):
            yield from self._of_library(folder)
        else:
            self.roots.append(folder)
            yield from self._of_folder(folder)

    def _of_manifest(self, path: Path) -> Iterator[SourceFile]:
        for row in manifest.read_manifest(path, self._manifests.encoding):
            metadata = Metadata(
                row.title,
                row.tags,
                row.author,
                row.source,
                row.licence,
                row.description,
                row.recorded,
            )
            _check(path, row.path, metadata, row.id)
            if address := _address_in(row.path, path):
                yield self._cloud_file(address, metadata, row.id)
            else:
                yield self._file(row.path, metadata, row.id)

    def _of_library(self, folder: Path) -> Iterator[SourceFile]:
        catalogue = Catalogue.open(folder)
        try:
            for clip in catalogue.clips():
                file = stored_file(clip.path)
                _check(folder, file, clip.metadata, clip.id)
                if isinstance(file, CloudFile):
                    yield self._cloud_file(file.address, clip.metadata, clip.id)
                else:
                    yield self._file(file, clip.metadata, clip.id)
        finally:
            catalogue.close()

    def _of_folder(self, root: Path) -> Iterator[SourceFile]:
        waiting = [root]
        while waiting:
            folder = waiting.pop()
            entries = self._entries(folder) if folder not in self.folders else []
            if folder != root and any(entry.name == CATALOGUE_FILE for entry in entries):
                continue
            self.folders.add(folder)
            subfolders = []
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                try:
                    is_folder = entry.is_dir()
                except OSError as error:  # a link that leads nowhere it may lead
                    self._fail(Path(entry.path), error)
                    continue
                if is_folder:
                    subfolders += _searched(folder, entry)
                elif is_sound(Path(entry.name)):
                    path = folder / entry.name
                    yield self._file(path) if entry.is_symlink() else SourceFile(path)
                else:
                    self.passed_over[_ending(entry.name)] += 1
            waiting += reversed(subfolders)

    def _of_address(self, place: CloudFile) -> Iterator[SourceFile]:
        try:
            entry = entry_at(place.address)
        except OSError as error:
            raise InputError(f"address: cannot be read ({error.strerror}): {place}") from error
        if entry.is_folder:
            self.roots.append(place)
            yield from self._of_cloud_folder(place)
        elif Path(place.name).suffix.lower() in manifest.SUFFIXES:
            raise InputError(f"address: expected a manifest on this machine, got {place}")
        else:
            yield SourceFile(entry.file)

    def _of_cloud_folder(self, root: CloudFile) -> Iterator[SourceFile]:
        """As `_of_folder`; there are no links."""
        waiting = [root]
        while waiting:
            folder = waiting.pop()
            entries = self._cloud_entries(folder)
            if folder != root and any(entry.file.name == CATALOGUE_FILE for entry in entries):
                continue
            subfolders = []
            for entry in entries:
                name = entry.file.name
                if _is_left_out(name) if entry.is_folder else name.startswith("."):
                    continue
                if entry.is_folder:
                    subfolders.append(entry.file)
                elif is_sound(Path(name)):
                    yield SourceFile(entry.file)
                else:
                    self.passed_over[_ending(name)] += 1
            waiting += reversed(subfolders)

    def _cloud_entries(self, folder: CloudFile) -> list[Entry]:
        try:
            return list(entries_in(folder.address))
        except OSError as error:
            self.failed[str(folder)] = f"{folder.name}: cannot be read ({error.strerror})"
            return []

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """What is in a folder, by name; nothing, and a failure, where it cannot be read."""
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._fail(folder, error)
            return []

    def _fail(self, path: Path, error: OSError) -> None:
        name = printable_path(path.name or str(path))
        reason = f"{name}: cannot be read ({error.strerror})"
        self.failed[printable_path(self._place(path))] = reason

    def _file(self, path: Path, metadata: Metadata = _UNKNOWN, clip_id: str = "") -> SourceFile:
        place = self._place(path)
        real = followed(place)
        if real != place:
            self.links.add(printable_path(place))
        return SourceFile(real, metadata, clip_id, link=place.name if real != place else "")

    def _cloud_file(self, address: str, metadata: Metadata, clip_id: str) -> SourceFile:
        """A named file of a store; its folder is listed, once, rather than each file asked for."""
        folder = address.rpartition("/")[0]
        if folder not in self._listed:
            listed = {}
            with contextlib.suppress(OSError):  # who may read files may not always list them
                listed = {str(entry.file): entry.file for entry in entries_in(folder)}
            self._listed[folder] = listed
        return SourceFile(self._listed[folder].get(address, CloudFile(address)), metadata, clip_id)

    def _place(self, path: Path) -> Path:
        """The path in its real folder; each folder is resolved once."""
        if path.name in ("", ".."):
            return real_folder(path)
        parent = path.parent
        if parent not in self._real_folders:
            self._real_folders[parent] = real_folder(parent)
        return self._real_folders[parent] / path.name


def _address_in(path: Path, origin: Path) -> str:
    """The address that a manifest names, where its reader took it for a relative path; or nothing,
    as where there is a folder `s3:`.

    Raises InputError.
    """
    folder = origin if is_folder(origin) else origin.parent
    found = _RELATIVE_ADDRESS.fullmatch(str(path)[len(str(folder / "_")) - 1 :])
    if not found or is_folder(folder / f"{found[1]}:"):
        return ""
    return checked_address(f"{found[1]}://{found[2]}")


def is_sound(path: Path) -> bool:
    """Whether the file is added when its folder is added, by its name."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def is_searched(folder: Path, root: Path) -> bool:
    """Whether a search of `root` comes to a folder in it: none on the way is left out."""
    while folder not in (root, folder.parent):
        if _is_left_out(folder.name) or _holds_library(folder):
            return False
        folder = folder.parent
    return True


def _searched(folder: Path, entry: os.DirEntry[str]) -> list[Path]:
    """The real path of an entry that is a folder, or nothing if it is not to be searched."""
    if _is_left_out(entry.name):
        return []
    if not entry.is_symlink():
        return [folder / entry.name]
    target = real_folder(Path(entry.path))
    # A link up to a folder that holds it is a loop; one into a library is not a way into it.
    if folder.is_relative_to(target) or any(map(_holds_library, target.parents)):
        return []
    return [target]


def _ending(name: str) -> str:
    """A file's ending in small letters, fit to be printed."""
    ending = printable_path(Path(name).suffix.lower())
    return "".join(character if character.isprintable() else "?" for character in ending)


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or _SYSTEM_FOLDERS.fullmatch(name) is not None


def _holds_library(folder: Path) -> bool:
    return is_file(folder / CATALOGUE_FILE)


def _check(origin: Path, sound: StoredFile, metadata: Metadata, clip_id: str) -> None:
    """Raise ManifestError for metadata over the catalogue's limits, before any work is done."""
    problem = metadata.clean().problem() or id_problem(clip_id)
    if problem:
        raise ManifestError(f"{origin}: {problem} (for {printable_path(sound.name)})")
