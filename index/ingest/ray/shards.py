"""Parts: embedded sounds in files, between the process that embedded them and the catalogue.

Format 1: a safetensors file named `FINGERPRINT-SUM.part`: the model's fingerprint and the first
32 hexadecimal digits of the file's own SHA-256. So a part that is damaged or another model's is
known by its name, and the same sounds, embedded twice, are one part. Its tensor `header` is JSON
as UTF-8: `format`, `sounds` (path, size, mtime_ns, info of each) and `failed` (path → reason).
Sound i has the tensors `i.vector` [D], `i.code` [V], `i.windows` [W, D] and `i.starts` [W].
What is said of a sound is not kept: whoever takes it in knows it, maybe better by then.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from earmark.index.catalogue.embedded_sound import Lot, Origin, Sound
from earmark.index.errors import LibraryError, StorageError
from earmark.model.audio.decode import SoundInfo
from earmark.model.core.atomic_write import write_whole
from earmark.model.core.errors import ConfigError, EarmarkError
from earmark.model.embedder import AudioEmbedding

FORMAT = 1
SUFFIX = ".part"
LOCK = "lock"
ARRAYS = ("vector", "code", "windows", "starts")


class PartError(EarmarkError):
    """A part is missing, damaged, of another model or of another format."""


@dataclass(frozen=True)
class Parts:
    """A folder of parts of one model, which embeds into `dim` dimensions.

    Its path holds on every machine that writes or reads parts.
    """

    folder: Path
    fingerprint: str
    dim: int

    @contextmanager
    def held(self) -> Iterator[str]:
        """Keep other runs off the folder, which is made; yields a token for `check`.

        Raises LibraryError where another run has it, StorageError.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / LOCK).open("a")
        except OSError as error:
            raise _refused(self.folder, error) from error
        with file:
            token = self._lock(file)
            for rest in self.folder.glob(f".*{SUFFIX}.*.tmp"):  # of writers that were killed
                rest.unlink(missing_ok=True)
            yield token

    def _lock(self, file: TextIO) -> str:
        token = uuid.uuid4().hex
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process
            file.truncate(0)
            file.write(token)
            file.flush()
            os.fsync(file.fileno())
        except BlockingIOError as error:
            raise LibraryError(
                f"parts {self.folder}: in use by another earmark add: wait for its end"
            ) from error
        except OSError as error:
            raise _refused(self.folder, error) from error
        return token

    def check(self, token: str) -> None:
        """Raise ConfigError where this machine's folder is not the one that is held."""
        try:
            found = (self.folder / LOCK).read_text(encoding="utf-8")
        except OSError:
            found = ""
        if found != token:
            raise ConfigError(
                f"parts: {self.folder} on {os.uname().nodename} is not that of the machine that "
                "started: expected a folder on a file system that all machines share"
            )

    def names(self) -> list[str]:
        """The parts that are there, of whatever model."""
        return sorted(path.name for path in self.folder.glob(f"[!.]*{SUFFIX}"))

    def write(self, lot: Lot) -> str:
        """Write a part, whole or not at all; returns its name. Raises StorageError."""
        header = {
            "format": FORMAT,
            "sounds": [_entry(sound) for sound in lot.sounds],
            "failed": lot.failed,
        }
        tensors: dict[str, npt.NDArray[Any]] = {
            "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
        }
        for number, sound in enumerate(lot.sounds):
            for array in ARRAYS:
                own = getattr(sound.embedding, array)
                tensors[f"{number}.{array}"] = np.ascontiguousarray(own)
        data = safetensors.numpy.save(tensors)
        name = self._name(data)
        try:
            write_whole(self.folder / name, [data])
        except OSError as error:
            raise _refused(self.folder, error) from error
        return name

    def read(self, name: str) -> Lot:
        """The sounds of a part, of which nothing is said. Raises PartError."""
        path = self.folder / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise PartError(f"{path}: {error.strerror}") from error
        if not name.startswith(f"{self.fingerprint}-"):
            raise PartError(f"{path}: of another model than {self.fingerprint}")
        if name != self._name(data):
            raise PartError(f"{path}: altered since it was written")
        try:
            tensors = safetensors.numpy.load(data)
            header = json.loads(tensors["header"].tobytes())
            if header["format"] != FORMAT:
                raise PartError(f"{path}: expected format {FORMAT}, got {header['format']!r}")
            sounds = [
                self._sound(entry, [tensors[f"{number}.{array}"] for array in ARRAYS])
                for number, entry in enumerate(header["sounds"])
            ]
            return Lot(sounds, dict(header["failed"]))
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise PartError(f"{path}: not a part ({error!r})") from error

    def drop(self, name: str) -> None:
        """Delete a part. Raises StorageError."""
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise _refused(self.folder, error) from error

    def _name(self, data: bytes) -> str:
        return f"{self.fingerprint}-{hashlib.sha256(data).hexdigest()[:32]}{SUFFIX}"

    def _sound(self, entry: dict[str, Any], arrays: list[npt.NDArray[Any]]) -> Sound:
        vector, code, windows, starts = arrays
        if vector.shape != (self.dim,) or windows.shape != (len(starts), self.dim):
            raise ValueError(f"vectors of shape {vector.shape} and {windows.shape}")
        embedding = AudioEmbedding(vector, code, windows, starts, SoundInfo(**entry["info"]))
        return Sound(Origin(Path(entry["path"])), embedding, entry["size"], entry["mtime_ns"])


def _entry(sound: Sound) -> dict[str, Any]:
    return {
        "path": str(sound.origin.path),
        "size": sound.size,
        "mtime_ns": sound.mtime_ns,
        "info": asdict(sound.embedding.info),
    }


def _refused(folder: Path, error: OSError) -> StorageError:
    return StorageError(f"parts {folder}: cannot be written or read ({error.strerror})")
