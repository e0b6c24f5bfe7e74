"""Windows of many sounds through the encoder together.

Whatever waits when the encoder is free is its next batch: nobody waits for a batch to fill, and
under load batches are large. The same window gives the same code in any batch.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from earmark.model.core.arrays import Array


@dataclass
class _Item:
    windows: Array
    codes: Future[Array] = field(default_factory=Future)


class Batches:
    """Encodes in `threads` threads, at most `most` windows at a time (more if one item has).

    `told`: of the number of items in each batch.
    """

    def __init__(
        self,
        encode: Callable[[Array], Array],
        most: int,
        threads: int = 1,
        told: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._encode, self._most, self._told = encode, most, told
        self._waiting: deque[_Item] = deque()
        self._windows = 0  # that wait
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, windows: Array) -> Future[Array]:
        """Windows [n, T, F] → their codes [n, V], some time. Waits while many wait already."""
        item = _Item(windows)
        with self._changed:
            self._changed.wait_for(lambda: self._windows < 4 * self._most or self._closed)
            if self._closed:
                item.codes.cancel()
                return item.codes
            self._waiting.append(item)
            self._windows += len(windows)
            self._changed.notify_all()
        return item.codes

    def close(self) -> None:
        """End the threads; what still waits is cancelled."""
        with self._changed:
            self._closed = True
            for item in self._waiting:
                item.codes.cancel()
            self._waiting.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _taken(self) -> list[_Item]:
        """The next batch; empty when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            batch: list[_Item] = []
            count = 0
            while self._waiting and (
                not batch or count + len(self._waiting[0].windows) <= self._most
            ):
                item = self._waiting.popleft()
                count += len(item.windows)
                if item.codes.set_running_or_notify_cancel():
                    batch.append(item)
            self._windows -= count
            self._changed.notify_all()
            return batch

    def _work(self) -> None:
        while True:
            batch = self._taken()
            if not batch and self._closed:
                return
            if not batch:
                continue  # all of it was cancelled
            self._told(len(batch))
            self._encoded(batch)

    def _encoded(self, batch: list[_Item]) -> None:
        """Give each item its codes; one that cannot be encoded fails alone."""
        try:
            codes = self._encode(np.concatenate([item.windows for item in batch]))
        except Exception as error:  # noqa: BLE001 (whoever waits gets it)
            if len(batch) == 1:
                batch[0].codes.set_exception(error)
                return
            for item in batch:
                self._encoded([item])
            return
        ends = np.cumsum([len(item.windows) for item in batch])[:-1]
        for item, own in zip(batch, np.split(codes, ends), strict=True):
            item.codes.set_result(own)
