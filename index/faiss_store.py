"""The vector store on one machine: FAISS, searched without locks.

Readers work on an immutable index; a writer builds the next and swaps it in. A snapshot is
the 8 bytes `EARMARK\\1`, a header's length (4 bytes, little endian), the header (JSON: library,
generation, dim, SHA-256 over these and the rest), then FAISS's own serialisation.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from index.records import Array, Changes, Rows
from model.files import write_whole

log = logging.getLogger(__name__)

MAGIC = b"EARMARK\x01"


@dataclass(frozen=True)
class _Generation:
    """One immutable state: an index and the catalogue's generation it shows."""

    index: Any
    number: int


class FaissStore:
    """Exact inner-product search (IndexFlatIP) by clip number. Implements VectorStore."""

    def __init__(self, library: str, dim: int) -> None:
        self._library, self._dim = library, dim
        self._state = _Generation(faiss.IndexIDMap2(faiss.IndexFlatIP(dim)), 0)
        self._writing = threading.Lock()

    @property
    def generation(self) -> int:
        """The catalogue's generation that this store has caught up with."""
        return self._state.number

    def __len__(self) -> int:
        return int(self._state.index.ntotal)

    def kind(self) -> str:
        """The kind of index, for people."""
        return "flat, exact"

    def apply(self, changes: Changes) -> None:
        """Take in what the catalogue wrote after `generation`; searches see all or nothing."""
        with self._writing:
            old = self._state
            if changes.generation <= old.number:
                return
            index = faiss.clone_index(old.index)
            gone = np.concatenate([changes.rows, changes.removed])
            if len(gone) and index.ntotal:
                index.remove_ids(faiss.IDSelectorBatch(gone))
            if len(changes.rows):
                index.add_with_ids(np.ascontiguousarray(changes.vectors), changes.rows)
            self._state = _Generation(index, changes.generation)

    def search(self, vector: Array, k: int) -> tuple[Rows, Array]:
        """The k rows nearest to a vector [D] and their scores, best first; fewer if few."""
        index = self._state.index
        count = min(k, int(index.ntotal))
        if count == 0:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        # One query is never worth a team of threads, and FAISS's team would fight with torch's
        # for the cores (30 ms for 0.3). The setting is the calling thread's own.
        faiss.omp_set_num_threads(1)
        scores, rows = index.search(np.ascontiguousarray(vector[None], dtype=np.float32), count)
        return rows[0], scores[0]

    def save(self, file: Path) -> None:
        """Write a snapshot, whole or not at all. Raises OSError."""
        state = self._state
        payload = faiss.serialize_index(state.index).tobytes()
        header: dict[str, Any] = {
            "library": self._library,
            "generation": state.number,
            "dim": self._dim,
        }
        header["sha256"] = _sum(header, payload)
        head = json.dumps(header).encode()
        write_whole(file, [MAGIC, len(head).to_bytes(4, "little"), head, payload])

    def load(self, file: Path) -> bool:
        """Take over a snapshot of this very library; False where there is none to trust."""
        if not file.exists():
            return False
        try:
            data = file.read_bytes()
            start = len(MAGIC) + 4
            size = int.from_bytes(data[len(MAGIC) : start], "little")
            header = json.loads(data[start : start + size])
            payload = data[start + size :]
            trusted = (
                data.startswith(MAGIC)
                and header["library"] == self._library
                and header["dim"] == self._dim
                and header.pop("sha256") == _sum(header, payload)
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("snapshot %s cannot be read (%s): building anew", file, error)
            return False
        if not trusted:
            log.warning("snapshot %s is cut short or another library's: building anew", file)
            return False
        try:
            index = faiss.deserialize_index(np.frombuffer(payload, dtype=np.uint8))
        except RuntimeError as error:  # written by a FAISS that this one cannot read
            log.warning("snapshot %s cannot be read (%s): building anew", file, error)
            return False
        self._state = _Generation(index, int(header["generation"]))
        return True


def _sum(header: Mapping[str, Any], payload: bytes) -> str:
    """SHA-256 over the header (without its sum) and the serialised index."""
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode() + payload).hexdigest()
