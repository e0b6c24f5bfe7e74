"""Exact search among few vectors of a Milvus collection.

An approximate index probes only some of its parts, and so may find next to none of the few clips
that pass a filter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from earmark.index.stores.milvus.client import TIMEOUT
from earmark.index.stores.milvus.schema import CONSISTENCY
from earmark.model.core.arrays import Array, Rows

if TYPE_CHECKING:
    from pymilvus import MilvusClient

MAX_VECTORS = 4_096


def search_exact(
    client: MilvusClient, name: str, vector: Array, passing: str, partitions: Sequence[str]
) -> tuple[Rows, Array]:
    """Of the vectors that pass, at most MAX_VECTORS, the numbers of their clips and their scores,
    best first."""
    found = client.query(
        name,
        filter=passing,
        output_fields=["row", "vector"],
        partition_names=list(partitions),
        limit=MAX_VECTORS,
        consistency_level=CONSISTENCY,
        timeout=TIMEOUT,
    )
    rows = np.array([one["row"] for one in found], dtype=np.int64)
    vectors = np.array([one["vector"] for one in found], dtype=np.float32)
    scores = vectors.reshape(-1, len(vector)) @ vector
    best = np.argsort(-scores, kind="stable")
    return rows[best], scores[best]
