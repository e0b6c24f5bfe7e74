"""Encodes windows of many sounds in shared batches.

The next batch is whatever has arrived when the encoder becomes free: no sound waits for a batch to
fill, and batches grow with the load. A window has the same code in any batch. Axes: n = windows,
T = frames, F = mels, V = audio code.
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


class Batcher:
    """Encodes in `threads` threads, at most `max_windows` at a time (more only if one item has).

    `on_batch` is called with the number of items in each batch.
    """

    def __init__(
        self,
        encode: Callable[[Array], Array],
        max_windows: int,
        threads: int = 1,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._encode, self._max_windows, self._on_batch = encode, max_windows, on_batch
        self._queue: deque[_Item] = deque()
        self._queued_windows = 0
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Batcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, windows: Array) -> Future[Array]:
        """Queue windows [n, T, F]; the future gives their codes [n, V]. Blocks while the queue is
        full (four batches)."""
        item = _Item(windows)
        with self._changed:
            self._changed.wait_for(
                lambda: self._queued_windows < 4 * self._max_windows or self._closed
            )
            if self._closed:
                item.codes.cancel()
                return item.codes
            self._queue.append(item)
            self._queued_windows += len(windows)
            self._changed.notify_all()
        return item.codes

    def close(self) -> None:
        """End the threads and cancel the items that are still queued."""
        with self._changed:
            self._closed = True
            for item in self._queue:
                item.codes.cancel()
            self._queue.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _next_batch(self) -> list[_Item]:
        """Wait for items; empty if all were cancelled, or after `close`."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            batch: list[_Item] = []
            count = 0
            while self._queue and (
                not batch or count + len(self._queue[0].windows) <= self._max_windows
            ):
                item = self._queue.popleft()
                count += len(item.windows)
                if item.codes.set_running_or_notify_cancel():
                    batch.append(item)
            self._queued_windows -= count
            self._changed.notify_all()
            return batch

    def _work(self) -> None:
        while True:
            batch = self._next_batch()
            if not batch and self._closed:
                return
            if not batch:
                continue
            self._on_batch(len(batch))
            self._encode_batch(batch)

    def _encode_batch(self, batch: list[_Item]) -> None:
        """Set each item's codes; if the batch fails, encode items one by one, so that only those
        at fault fail."""
        try:
            codes = self._encode(np.concatenate([item.windows for item in batch]))
        except Exception as error:  # noqa: BLE001 (passed on by the future)
            if len(batch) == 1:
                batch[0].codes.set_exception(error)
                return
            for item in batch:
                self._encode_batch([item])
            return
        ends = np.cumsum([len(item.windows) for item in batch])[:-1]
        for item, item_codes in zip(batch, np.split(codes, ends), strict=True):
            item.codes.set_result(item_codes)
