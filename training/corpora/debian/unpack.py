"""The sounds inside a Debian package, without root and without running anything of it.

A .deb is an `ar` archive of two tar files; sounds also lie in archives inside: zip files (.pk3,
.zip) and groups of the Clonk engine (.ocg, .ocd). A sound's name is its path in the package, an
archive counting as a folder. Names only name: files are written under numbers, so no name can
lead out of the folder; a package with a path that tries to is refused.
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
COPYRIGHT = "copyright"
CONTROL = "control"

AR_MAGIC = b"!<arch>\n"
AR_HEADER = 60  # bytes: the name 16, …, the size 10 from byte 48, an end mark of 2
MAX_SOUND_BYTES = 512 * 2**20
MAX_TEXT_BYTES = 8 * 2**20
# What tar and zip files raise that are cut short, damaged or encrypted.
BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError,
    RuntimeError,
)  # fmt: skip


@dataclass
class Unpacked:
    """What was taken out: `sounds` are (path in the package, file), in the package's order."""

    control: str = ""
    copyright: str = ""
    sounds: list[tuple[str, Path]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (path, reason)


def unpack(deb: Path, folder: Path, wanted: Callable[[str], bool]) -> Unpacked:
    """Take the wanted sounds of a package to `folder`. Raises CorpusError for a broken package."""
    found = Unpacked()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _tar(deb, "control.tar") as archive:
            for name, member in _files(deb, archive):
                if name == CONTROL:
                    found.control = _text(archive, member)
        with _tar(deb, "data.tar") as archive:
            for name, member in _files(deb, archive):
                if name.startswith("usr/share/doc/") and PurePosixPath(name).name == COPYRIGHT:
                    found.copyright = _text(archive, member)
                    continue
                content = archive.extractfile(member)
                if content is not None:
                    _take(name, content, member.size, found, folder, wanted)
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno:  # the disk's, not the package's
            raise
        raise CorpusError(f"{deb.name}: not a whole package ({error})") from error
    return found


def safe_path(name: str) -> str:
    """A path inside an archive as a plain relative one. Raises CorpusError for a hostile one."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise CorpusError(f"hostile path in an archive: {name!r:.100}")
    return str(path)


def _take(
    name: str,
    content: IO[bytes],
    size: int,
    found: Unpacked,
    folder: Path,
    wanted: Callable[[str], bool],
) -> None:
    """Write a wanted sound, or those of an archive."""
    ending = PurePosixPath(name).suffix.lower()
    if ending in SOUNDS and wanted(name):
        if not 0 < size <= MAX_SOUND_BYTES:
            found.skipped.append((name, "empty" if not size else "too large"))
            return
        file = folder / f"{len(found.sounds):06d}{ending}"
        with file.open("wb") as out:
            shutil.copyfileobj(content, out)
        found.sounds.append((name, file))
    elif ending in ZIPS:
        whole = folder / f"archive{ending}"  # a zip file is read from its end
        with whole.open("wb") as out:
            shutil.copyfileobj(content, out)
        with zipfile.ZipFile(whole) as archive:
            for entry in archive.infolist():
                path = _inner(name, entry.filename, found)
                if path and not entry.is_dir():
                    with archive.open(entry) as part:
                        _take(path, part, entry.file_size, found, folder, wanted)
        whole.unlink()
    elif ending in GROUPS and size <= MAX_SOUND_BYTES:
        for inner, data in clonk.members(content.read()):
            if path := _inner(name, inner, found):
                _take(path, io.BytesIO(data), len(data), found, folder, wanted)


def _inner(archive: str, name: str, found: Unpacked) -> str:
    """A sound's path in an archive inside the package; empty for what is not taken from there.

    Real packages hold such archives with entries like "../CREDITS": they are passed over.
    """
    if not name.lower().endswith(SOUNDS):
        return ""
    try:
        return f"{archive}/{safe_path(name)}"
    except CorpusError:
        found.skipped.append((f"{archive}/{name}", "a path that leads out of its archive"))
        return ""


def _text(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = archive.extractfile(member)
    return content.read(MAX_TEXT_BYTES).decode("utf-8", "replace") if content else ""


def _files(deb: Path, archive: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """The plain files; links, devices and pipes are passed over, never made."""
    for member in archive:
        try:
            name = safe_path(member.name)
        except CorpusError as error:
            raise CorpusError(f"{deb.name}: {error}") from error
        if member.isreg():
            yield name, member


@contextmanager
def _tar(deb: Path, wanted: str) -> Iterator[tarfile.TarFile]:
    """A part of the .deb as a tar stream, however it is compressed."""
    with deb.open("rb") as file:
        name, size = _part(deb, file, wanted)
        if not name.endswith(".zst"):
            with tarfile.open(fileobj=_Part(file, size), mode="r|*") as archive:
                yield archive
            return
        # Python has no zstd of its own before 3.14.
        with tempfile.NamedTemporaryFile() as packed, tempfile.TemporaryFile() as plain:
            shutil.copyfileobj(_Part(file, size), packed)
            packed.flush()
            _zstd(deb, packed.name, plain)
            plain.seek(0)
            with tarfile.open(fileobj=plain, mode="r|") as archive:
                yield archive


def _zstd(deb: Path, packed: str, plain: IO[bytes]) -> None:
    command = shutil.which("zstd")
    if command is None:
        raise CorpusError(f"{deb.name}: is compressed by zstd, and there is no zstd command")
    words = [command, "-dcq", packed]
    done = subprocess.run(words, stdout=plain, check=False)  # noqa: S603 (reads one file)
    if done.returncode:
        raise CorpusError(f"{deb.name}: not a whole package (zstd)")


def _part(deb: Path, file: IO[bytes], wanted: str) -> tuple[str, int]:
    """Seek to the member whose name begins so; its name and size."""
    if file.read(len(AR_MAGIC)) != AR_MAGIC:
        raise CorpusError(f"{deb.name}: not a Debian package")
    while len(header := file.read(AR_HEADER)) == AR_HEADER:
        name, size = header[:16].decode("latin-1").strip().rstrip("/"), header[48:58].strip()
        if not size.isdigit():
            break
        if name.startswith(wanted):
            return name, int(size)
        file.seek(int(size) + int(size) % 2, 1)
    raise CorpusError(f"{deb.name}: not a whole package (no {wanted})")


class _Part(io.RawIOBase):
    """A stretch of a file, read from where it stands."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """How many bytes were put there; 0 at its end."""
        data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)
