"""Exact search among few clips of a Milvus collection.

An approximate index probes only some of its parts, and so may find next to none of the few clips
that pass a filter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from earmark.index.stores.milvus.client import TIMEOUT
from earmark.index.stores.milvus.schema import CLIPS, CONSISTENCY
from earmark.model.core.arrays import Array, Rows

if TYPE_CHECKING:
    from pymilvus import MilvusClient

MAX_CLIPS = 4_096


def search_exact(
    client: MilvusClient, name: str, vector: Array, count: int, passing: str
) -> tuple[Rows, Array]:
    """Of the clips that pass, at most MAX_CLIPS, the `count` rows nearest to a vector [D] and their
    scores, best first.
    """
    clips = client.query(
        name,
        filter=passing,
        output_fields=["row", "vector"],
        partition_names=[CLIPS],
        limit=MAX_CLIPS,
        consistency_level=CONSISTENCY,
        timeout=TIMEOUT,
    )
    rows = np.array([clip["row"] for clip in clips], dtype=np.int64)
    vectors = np.array([clip["vector"] for clip in clips], dtype=np.float32)
    scores = vectors.reshape(-1, len(vector)) @ vector
    best = np.argsort(-scores, kind="stable")[:count]
    return rows[best], scores[best]
