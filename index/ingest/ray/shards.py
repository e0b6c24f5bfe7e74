"""Shards: files that carry embedded sounds from the embedding process to the catalogue.

Format 2: a safetensors file named `FINGERPRINT-SUM.part`, from the model's fingerprint and the
first 32 hexadecimal digits of the file's SHA-256. So the name reveals a damaged shard or one of
another model, and the same sounds, embedded twice, make one shard. The tensor `header` is JSON in
UTF-8: `format`, `sounds` (of each path, size, mtime_ns, info, and the metadata in its file) and
`failed` (path → reason). Sound i has the tensors `i.vector` [D], `i.code` [V], `i.windows`
[W, D] and `i.starts` [W] (s). A shard holds no metadata of manifests: whoever reads it has the
newest.
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

from earmark.index.catalogue.embedded_sound import EmbeddedBatch, EmbeddedSound, SourceFile
from earmark.index.errors import LibraryError, StorageError
from earmark.model.audio.file_metadata import FileMetadata
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.cloud.cloud_file import stored_file
from earmark.model.core.atomic_write import write_whole
from earmark.model.core.errors import ConfigError, EarmarkError
from earmark.model.embedder import AudioEmbedding

FORMAT = 2
SUFFIX = ".part"
LOCK = "lock"
TENSORS = ("vector", "code", "windows", "starts")


class ShardError(EarmarkError):
    """A shard is missing, damaged, of another model or of another format."""


@dataclass(frozen=True)
class ShardFolder:
    """A folder of shards of one model, with embeddings of `dim` dimensions.

    Every machine that writes or reads shards sees it at the same path.
    """

    folder: Path
    fingerprint: str
    dim: int

    @contextmanager
    def locked(self) -> Iterator[str]:
        """Create the folder and lock out other runs; yields a token for `check`.

        Raises LibraryError if another run has locked it, StorageError.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / LOCK).open("a")
        except OSError as error:
            raise _storage_error(self.folder, error) from error
        with file:
            token = self._lock(file)
            for unfinished in self.folder.glob(f".*{SUFFIX}.*.tmp"):  # of killed writers
                unfinished.unlink(missing_ok=True)
            yield token

    def _lock(self, file: TextIO) -> str:
        token = uuid.uuid4().hex
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until the process ends
            file.truncate(0)
            file.write(token)
            file.flush()
            os.fsync(file.fileno())
        except BlockingIOError as error:
            raise LibraryError(
                f"parts {self.folder}: in use by another earmark add: wait for its end"
            ) from error
        except OSError as error:
            raise _storage_error(self.folder, error) from error
        return token

    def check(self, token: str) -> None:
        """Raise ConfigError if this machine's folder is not the one that is locked."""
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
        """The names of all shards, of any model."""
        return sorted(path.name for path in self.folder.glob(f"[!.]*{SUFFIX}"))

    def write(self, batch: EmbeddedBatch) -> str:
        """Write a shard, whole or not at all; returns its name. Raises StorageError."""
        header = {
            "format": FORMAT,
            "sounds": [_entry(sound) for sound in batch.sounds],
            "failed": batch.failed,
        }
        tensors: dict[str, npt.NDArray[Any]] = {
            "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
        }
        for number, sound in enumerate(batch.sounds):
            for tensor in TENSORS:
                values = getattr(sound.embedding, tensor)
                tensors[f"{number}.{tensor}"] = np.ascontiguousarray(values)
        data = safetensors.numpy.save(tensors)
        name = self._name(data)
        try:
            write_whole(self.folder / name, [data])
        except OSError as error:
            raise _storage_error(self.folder, error) from error
        return name

    def read(self, name: str) -> EmbeddedBatch:
        """The sounds of a shard, without a manifest's metadata. Raises ShardError."""
        path = self.folder / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ShardError(f"{path}: {error.strerror}") from error
        if not name.startswith(f"{self.fingerprint}-"):
            raise ShardError(f"{path}: of another model than {self.fingerprint}")
        if name != self._name(data):
            raise ShardError(f"{path}: altered since it was written")
        try:
            tensors = safetensors.numpy.load(data)
            header = json.loads(tensors["header"].tobytes())
            if header["format"] != FORMAT:
                raise ShardError(f"{path}: expected format {FORMAT}, got {header['format']!r}")
            sounds = [
                self._sound(entry, [tensors[f"{number}.{tensor}"] for tensor in TENSORS])
                for number, entry in enumerate(header["sounds"])
            ]
            return EmbeddedBatch(sounds, dict(header["failed"]))
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ShardError(f"{path}: not a shard ({error!r})") from error

    def delete(self, name: str) -> None:
        """Delete a shard. Raises StorageError."""
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise _storage_error(self.folder, error) from error

    def _name(self, data: bytes) -> str:
        return f"{self.fingerprint}-{hashlib.sha256(data).hexdigest()[:32]}{SUFFIX}"

    def _sound(self, entry: dict[str, Any], arrays: list[npt.NDArray[Any]]) -> EmbeddedSound:
        vector, code, windows, starts = arrays
        if vector.shape != (self.dim,) or windows.shape != (len(starts), self.dim):
            raise ValueError(f"vectors of shape {vector.shape} and {windows.shape}")
        metadata = {**entry["metadata"], "tags": tuple(entry["metadata"]["tags"])}
        embedding = AudioEmbedding(
            vector, code, windows, starts, SoundInfo(**entry["info"]), FileMetadata(**metadata)
        )
        return EmbeddedSound(
            SourceFile(stored_file(entry["path"])), embedding, entry["size"], entry["mtime_ns"]
        )


def _entry(sound: EmbeddedSound) -> dict[str, Any]:
    return {
        "path": str(sound.file.path),
        "size": sound.size,
        "mtime_ns": sound.mtime_ns,
        "info": asdict(sound.embedding.info),
        "metadata": asdict(sound.embedding.metadata),
    }


def _storage_error(folder: Path, error: OSError) -> StorageError:
    return StorageError(f"parts {folder}: cannot be written or read ({error.strerror})")
