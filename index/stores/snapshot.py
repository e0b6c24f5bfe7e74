"""Snapshots: derived data saved as named arrays and a JSON header in a safetensors file.

The file's safetensors metadata holds `version` (of this format), `header` (JSON) and `sha256`: the
SHA-256 of the whole file with this checksum's digits set to zero. So any altered byte is noticed.
A file that cannot be trusted raises SnapshotError, and its owner builds the data anew.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from earmark.model.core.atomic_write import write_whole

VERSION = "3"  # versions 1 and 2 were not safetensors files
MAX_HEADER_BYTES = 100_000_000  # as safetensors has it
BLOCK = 1 << 20  # bytes read at a time
_NO_CHECKSUM = "0" * 64

Arrays = dict[str, npt.NDArray[Any]]


class SnapshotError(Exception):
    """The file is not a snapshot that can be trusted; the message says why."""


def write(file: Path, header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write a snapshot, whole or not at all. `header`: JSON values by name. Raises OSError."""
    tensors = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    metadata = {"version": VERSION, "header": json.dumps(header), "sha256": _NO_CHECKSUM}
    data = safetensors.numpy.save(tensors, metadata)
    start, checksum = _checksum(io.BytesIO(data))
    view = memoryview(data)
    write_whole(file, [view[:start], checksum.encode(), view[start + len(checksum) :]])


def read(file: Path) -> tuple[dict[str, Any], Arrays]:
    """The header and the arrays of a snapshot. Raises SnapshotError, OSError."""
    with file.open("rb") as stream:
        _, checksum = _checksum(stream)
        try:
            # By its descriptor: another process may replace the file meanwhile.
            with safetensors.safe_open(f"/dev/fd/{stream.fileno()}", "numpy") as snapshot:
                metadata = snapshot.metadata() or {}
                if metadata.get("version") != VERSION:
                    raise SnapshotError("it is of another version, or no snapshot")
                if metadata["sha256"] != checksum:
                    raise SnapshotError("it is cut short or altered")
                arrays = {name: snapshot.get_tensor(name) for name in snapshot.keys()}  # noqa: SIM118 (no mapping)
                return json.loads(metadata["header"]), arrays
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
            raise SnapshotError(f"it cannot be read ({error})") from error


def _checksum(stream: BinaryIO) -> tuple[int, str]:
    """The position of the stored checksum, and the SHA-256 of the file with it set to zero.

    Raises SnapshotError if the file has no place for a checksum.
    """
    total = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    length = stream.read(8)
    size = int.from_bytes(length, "little")
    if size > min(MAX_HEADER_BYTES, total - len(length)):
        raise SnapshotError("it is of another version, or no snapshot")
    head = length + stream.read(size)
    key = b'"sha256":"'
    start = head.find(key) + len(key)
    if start < len(key):
        raise SnapshotError("it is of another version, or no snapshot")
    blank = head[:start] + _NO_CHECKSUM.encode() + head[start + len(_NO_CHECKSUM) :]
    digest = hashlib.sha256(blank)
    while block := stream.read(BLOCK):
        digest.update(block)
    return start, digest.hexdigest()
