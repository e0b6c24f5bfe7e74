"""A snapshot's file: named arrays and a header, with a checksum over all of it.

Layout: the 8 bytes `EARMARK\\2`, the header's length (4 bytes, little endian), the header (JSON:
what the caller says, each part's name, type and shape, SHA-256 over these and the parts), the
parts one after another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.model.core.atomic_write import write_whole

MAGIC = b"EARMARK\x02"
START = len(MAGIC) + 4

Arrays = dict[str, npt.NDArray[Any]]


class SnapshotError(Exception):
    """The file is no snapshot that can be trusted; the message says why."""


def write(file: Path, says: Mapping[str, Any], parts: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write a snapshot, whole or not at all. Raises OSError."""
    contiguous = {name: np.ascontiguousarray(part) for name, part in parts.items()}
    header: dict[str, Any] = {
        "says": dict(says),
        "parts": [[name, part.dtype.str, part.shape] for name, part in contiguous.items()],
    }
    payload = [part.reshape(-1).view(np.uint8).data for part in contiguous.values()]
    header["sha256"] = _sum(header, payload)
    head = json.dumps(header).encode()
    write_whole(file, [MAGIC, len(head).to_bytes(4, "little"), head, *payload])


def read(file: Path) -> tuple[dict[str, Any], Arrays]:
    """(what its writer said, the parts, read-only). Raises SnapshotError, OSError."""
    data = file.read_bytes()
    if not data.startswith(MAGIC):
        raise SnapshotError("it is of another version, or no snapshot")
    size = int.from_bytes(data[len(MAGIC) : START], "little")
    try:
        head, payload = data[START : START + size], memoryview(data)[START + size :]
        header = json.loads(head)
        # The sum is over what the header says: another space between would say the same.
        same = json.dumps(header).encode() == head
        if header.pop("sha256") != _sum(header, [payload]) or not same:
            raise SnapshotError("it is cut short or altered")
        parts: Arrays = {}
        for name, kind, shape in header["parts"]:
            dtype = np.dtype(kind)
            length = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            parts[name] = np.frombuffer(payload[:length], dtype=dtype).reshape(shape)
            payload = payload[length:]
        return header["says"], parts
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"its header cannot be read ({error})") from error


def _sum(header: Mapping[str, Any], payload: Iterable[memoryview]) -> str:
    """SHA-256 over the header (without its sum) and the parts."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for part in payload:
        digest.update(part)
    return digest.hexdigest()
