"""Which row numbers are among others."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from earmark.model.core.arrays import are_among

ROWS = st.lists(st.integers(0, 30), max_size=20)


@given(rows=ROWS, others=ROWS)
def test_rows_are_among_others(rows: list[int], others: list[int]) -> None:
    asked, ascending = np.array(rows, np.int64), np.unique(np.array(others, np.int64))
    assert are_among(asked, ascending).tolist() == [row in others for row in rows]
