"""Names in filters become rows: once, however many ask."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from earmark.index.search.named_rows import NamedFilters
from earmark.index.types import Filter
from earmark.model.core.arrays import Rows


class SlowRows:
    """Rows that are found when `may_go` is set."""

    def __init__(self) -> None:
        self.may_go, self.count = threading.Event(), 0

    def version(self, _name: str) -> int:
        return 1

    def rows(self, _name: str) -> Rows:
        self.count += 1
        assert self.may_go.wait(10)
        return np.array([3, 1], np.int64)


def test_who_asks_meanwhile_gets_what_is_found() -> None:
    slow = SlowRows()
    filters = NamedFilters({"classifiers": slow})
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(filters.resolve, Filter(classifiers=("a",))) for _ in range(4)]
        slow.may_go.set()
        members = [answer.result().members for answer in asked]
    assert slow.count == 1
    assert all(found is members[0] for found in members)
    assert members[0] is not None
    assert members[0].rows.tolist() == [1, 3]
