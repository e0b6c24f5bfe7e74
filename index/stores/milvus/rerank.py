"""Clips of a collection in Milvus compared with a vector one by one, where its index will not do.

An approximate index looks into some of its parts only, and so may find next to none of the few
clips that pass a filter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from earmark.index.stores.milvus.client import TIMEOUT
from earmark.index.stores.milvus.schema import CLIPS, SEEN
from earmark.model.core.arrays import Array, Rows

if TYPE_CHECKING:
    from pymilvus import MilvusClient

MOST = 4_096  # clips


def compared(
    client: MilvusClient, name: str, vector: Array, count: int, passing: str
) -> tuple[Rows, Array]:
    """The `count` rows nearest to a vector [D] of those, at most `MOST`, that pass; best first."""
    held = client.query(
        name,
        filter=passing,
        output_fields=["row", "vector"],
        partition_names=[CLIPS],
        limit=MOST,
        consistency_level=SEEN,
        timeout=TIMEOUT,
    )
    rows = np.array([each["row"] for each in held], dtype=np.int64)
    vectors = np.array([each["vector"] for each in held], dtype=np.float32)
    scores = vectors.reshape(-1, len(vector)) @ vector
    best = np.argsort(-scores, kind="stable")[:count]
    return rows[best], scores[best]
