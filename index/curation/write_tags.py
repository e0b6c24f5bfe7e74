"""Writes what the library says of its sounds back into their files, or into copies of them.

File by file: a copy beside the file gets the tags, is compared with it sample by sample, is synced
to the disk and takes its place, with its permissions and owner; the library learns its new size and
time in the same step. So a file is the old one or the new one at any moment. Killed in between, the
library takes the file for a changed one: `earmark add` reads it again, and nothing else changes.

Files are never written through links, nor where another name of theirs (a hard link) would keep the
old tags. Those that have changed since they were added are left alone.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.metadata import Metadata
from earmark.index.catalogue.records import KnownFile
from earmark.index.errors import LibraryError
from earmark.model.audio.file_metadata import FileMetadata
from earmark.model.cloud.addresses import is_address
from earmark.model.core.errors import InputError
from earmark.model.core.progress import progress
from earmark.model.file_tags.containers import holds_tags
from earmark.model.file_tags.fields import FieldChanges, changes
from earmark.model.inference.decode_pool import DecodePool

IN_STORE = "it lies in a store, whose files are only read"
BATCH = 64  # sounds looked at before the report goes on
UNFINISHED = re.compile(r"\.earmark-[0-9a-f]{12}(\..*)?", re.DOTALL)  # names of unfinished files
ABANDONED_SECONDS = 3_600  # age of one whose writer must have been killed


@dataclass
class WriteReport:
    """The result of writing tags; also the JSON output of `earmark write-tags`. All by path.

    `written`: the fields that a file got, or would get. `kept`: the names of fields in which a file
    says something else, and keeps it. `unchanged`: how many say all of it already. `skipped`: why
    the format holds no tags, or that the file lies in a store. `failed`: why a file was left alone.
    """

    written: dict[str, dict[str, Any]] = field(default_factory=dict)
    kept: dict[str, list[str]] = field(default_factory=dict)
    unchanged: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Orders:
    """How tags are written: `overwrite`: over what files say; `dry_run`: not at all; `copies`: the
    folder of copies, None for the files themselves."""

    overwrite: bool = False
    dry_run: bool = False
    copies: Path | None = None


class NoTagsError(InputError):
    """A file's format holds no tags that can be written."""


def write_tags(
    catalogue: Catalogue, orders: Orders, processes: DecodePool | None = None
) -> WriteReport:
    """Write the tags of all sounds.

    `processes`: existing ones that decode; None to start and stop new ones. Raises LibraryError for
    a folder of copies that cannot be made, StorageError; files that cannot be written are told in
    the report.
    """
    count = os.cpu_count() or 1
    with (
        nullcontext(processes) if processes else DecodePool(None, count) as decoders,
        ThreadPoolExecutor(count) as threads,
        progress("looking at" if orders.dry_run else "writing", catalogue.count(), "files") as bar,
    ):
        run = _Run(catalogue, decoders, orders, _common_folder(catalogue))
        for batch in catalogue.iter_paths(BATCH):
            known = catalogue.known_files([path for _, _, path in batch])
            away = dict.fromkeys((path for _, _, path in batch if is_address(path)), IN_STORE)
            run.report.skipped |= away
            tasks = [
                (clip_id, known[path], Path(path))
                for clip_id, _, path in batch
                if path in known and path not in away
            ]
            try:
                run.report.unchanged += sum(threads.map(lambda task: run.write(*task), tasks))
            except BaseException:
                threads.shutdown(cancel_futures=True)  # what is in hand is finished
                raise
            bar.step(len(batch))
    return run.report


def _common_folder(catalogue: Catalogue) -> Path:
    """The folder that all sounds lie in."""
    common = ""
    for batch in catalogue.iter_paths(1_000):
        here = [path for _, _, path in batch if not is_address(path)]
        folders = [os.path.dirname(path) for path in here]  # noqa: PTH120 (many)
        if folders:
            common = os.path.commonpath([common or folders[0], *folders])
    return Path(common)


@dataclass(frozen=True)
class _Run:
    catalogue: Catalogue
    decoders: DecodePool
    orders: Orders
    common: Path
    report: WriteReport = field(default_factory=WriteReport)
    cleaned: set[Path] = field(default_factory=set)  # folders without unfinished files of others

    def write(self, clip_id: str, known: KnownFile, path: Path) -> bool:
        """Write one file's tags, or tell why not. Returns whether it says all of it already.

        Raises StorageError.
        """
        report, name = self.report, str(path)
        try:
            before = self._check(path, known)
            wanted = _as_file_metadata(known.metadata)
            changed = changes(before, wanted, overwrite=self.orders.overwrite)
            if changed.kept:
                report.kept[name] = list(changed.kept)
            if not changed and self.orders.copies is None:
                return True
            if self.orders.copies is not None:
                self._write_copy(path, self.orders.copies, before, changed)
            else:
                _check_replaceable(path)
                if not self.orders.dry_run:
                    self._replace((clip_id, known), path, before, changed)
            report.written[name] = _fields(changed.new)
        except NoTagsError as error:
            report.skipped[name] = str(error)
        except InputError as error:
            report.failed[name] = str(error)
        except OSError as error:
            report.failed[name] = f"{path.name}: {error.strerror or 'cannot be read'}"
        return False

    def _check(self, path: Path, known: KnownFile) -> FileMetadata:
        """What a file says, if it is the one that was added. Raises InputError, OSError."""
        state = path.lstat()
        if stat.S_ISLNK(state.st_mode):
            raise InputError(f"{path.name}: a link has taken its place")
        if not stat.S_ISREG(state.st_mode):
            raise InputError(f"{path.name}: no file any more")
        if (state.st_size, state.st_mtime_ns) != (known.size, known.mtime_ns):
            raise InputError(f"{path.name}: changed since it was added: add it again")
        if not holds_tags(path):
            raise NoTagsError(f"{path.name}: its format holds no tags that can be written")
        return self.decoders.tag(path, path.name, FieldChanges(FileMetadata()))

    def _write_copy(
        self, path: Path, folder: Path, before: FileMetadata, changed: FieldChanges
    ) -> None:
        copy = folder / path.relative_to(self.common)
        if copy.exists():
            raise InputError(f"{path.name}: there is a copy already, {copy}")
        if self.orders.dry_run:
            return
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LibraryError(f"copies {folder}: cannot be made ({error.strerror})") from error
        temporary = self._tagged(path, copy.parent, before, changed)
        try:
            temporary.replace(copy)
        finally:
            temporary.unlink(missing_ok=True)

    def _replace(
        self,
        clip: tuple[str, KnownFile],
        path: Path,
        before: FileMetadata,
        changed: FieldChanges,
    ) -> None:
        old, (clip_id, known) = path.stat(), clip
        temporary = self._tagged(path, path.parent, before, changed)
        try:
            _give_owner(temporary, path, old)
            new = temporary.stat()
            with self.catalogue.write() as writer:
                if _identity(path.lstat()) != _identity(old):
                    raise InputError(f"{path.name}: changed while its tags were written")
                if self.catalogue.known_files([str(path)]).get(str(path)) != known:
                    raise InputError(f"{path.name}: the library says something else meanwhile")
                writer.set_file_state(clip_id, str(path), new.st_size, new.st_mtime_ns)
                temporary.replace(path)
                _sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def _tagged(
        self, path: Path, folder: Path, before: FileMetadata, changed: FieldChanges
    ) -> Path:
        """A copy of a file in a folder, with its permissions and the tags, on the disk.

        Raises InputError where it would not read back, or its sound would be another; OSError.
        """
        if folder not in self.cleaned:
            self.cleaned.add(folder)
            _remove_abandoned(folder)
        temporary = folder / f".earmark-{secrets.token_hex(6)}{path.suffix}"
        try:
            temporary.touch(0o600, exist_ok=False)  # nobody else's, until it has its permissions
            shutil.copyfile(path, temporary)
            if not changed.is_in(before, self.decoders.tag(temporary, path.name, changed)):
                raise InputError(
                    f"{path.name}: its tags would not read back: they also stand in a place where "
                    "none are written"
                )
            if self._samples(path) != self._samples(temporary):
                raise InputError(f"{path.name}: its sound would not stay the same")
            shutil.copystat(path, temporary)
            os.utime(temporary)  # now
            _sync(temporary)
        except InputError as error:
            temporary.unlink(missing_ok=True)
            raise type(error)(str(error).replace(temporary.name, path.name)) from error
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def _samples(self, path: Path) -> tuple[object, ...]:
        """All that is heard of a file: format, length, damage and samples. Raises AudioError."""
        measured = self.decoders.measure(path, path.name)
        return measured.sha256, measured.samples, measured.info


def _as_file_metadata(metadata: Metadata) -> FileMetadata:
    return FileMetadata(
        title=metadata.title,
        author=metadata.author,
        tags=metadata.tags,
        description=metadata.description,
        licence=metadata.licence,
        recorded=metadata.recorded,
        source=metadata.source,
    )


def _fields(new: FileMetadata) -> dict[str, Any]:
    values = {**vars(new), "tags": list(new.tags)}
    return {name: value for name, value in values.items() if value}


def _check_replaceable(path: Path) -> None:
    """Raise InputError for a file in whose place no other may be put."""
    state = path.stat()
    if state.st_nlink > 1:
        raise InputError(
            f"{path.name}: has {state.st_nlink} names (hard links), and one alone would be "
            "written: --copies writes elsewhere"
        )
    if not state.st_mode & 0o222 or not os.access(path, os.W_OK):
        raise InputError(f"{path.name}: may only be read")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path.name}: its folder may only be read")


def _give_owner(temporary: Path, path: Path, old: os.stat_result) -> None:
    new = temporary.stat()
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.chown(temporary, old.st_uid, old.st_gid)
        except PermissionError as error:
            raise InputError(f"{path.name}: belongs to another user") from error


def _identity(state: os.stat_result) -> tuple[int, int, int]:
    return state.st_ino, state.st_size, state.st_mtime_ns


def _sync(path: Path) -> None:
    """Have the disk keep a file, or the names in a folder."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _remove_abandoned(folder: Path) -> None:
    """Remove the unfinished files of killed runs."""
    for file in _unfinished(folder):
        with suppress(OSError):  # removed meanwhile
            if time.time() - file.stat().st_mtime > ABANDONED_SECONDS:
                file.unlink()


def _unfinished(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        names: Sequence[str] = [entry.name for entry in entries if UNFINISHED.fullmatch(entry.name)]
    return (folder / name for name in names)
