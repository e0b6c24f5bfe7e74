"""Batcher: each item gets its codes in any mixture; errors and `close` reach the waiting caller."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest

from earmark.model.encoders.dual import DualEmbedder
from earmark.model.inference.batcher import Batcher
from tests.model.tiny import checkpoint_of, tiny_config


def windows(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 64, 128)).astype(np.float32)


def doubled(values: np.ndarray) -> np.ndarray:
    return 2 * values[:, 0]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_window_gives_the_same_code_in_any_batch(threads: int) -> None:
    embedder = DualEmbedder(checkpoint_of(tiny_config("starter")))
    items = [windows(1 + number % 5, number) for number in range(40)]
    with Batcher(embedder.encode, 16, threads) as batches:
        codes = [batches.put(item) for item in items]
        for item, future in zip(items, codes, strict=True):
            np.testing.assert_allclose(future.result(30), embedder.encode(item), atol=1e-5)


def test_what_waits_is_the_next_batch_up_to_its_size() -> None:
    sizes: list[int] = []
    go = threading.Event()

    def encode(values: np.ndarray) -> np.ndarray:
        sizes.append(len(values))
        assert go.wait(60)
        return doubled(values)

    with Batcher(encode, 8) as batches:
        first = batches.put(np.zeros((1, 3), np.float32))
        while not sizes:
            pass
        rest = [batches.put(np.full((3, 3), n, np.float32)) for n in range(5)]
        large = batches.put(np.full((20, 3), 7, np.float32))
        go.set()
        assert first.result(10).tolist() == [0]
        assert [future.result(10).tolist() for future in rest] == [[2.0 * n] * 3 for n in range(5)]
        assert large.result(10).tolist() == [14.0] * 20
    assert sizes == [1, 6, 6, 3, 20]


def test_putting_waits_while_many_wait() -> None:
    go = threading.Event()

    def encode(values: np.ndarray) -> np.ndarray:
        assert go.wait(60)
        return doubled(values)

    done: list[int] = []
    with Batcher(encode, 2) as batches:

        def put() -> None:
            for number in range(40):
                batches.put(np.zeros((1, 3), np.float32))
                done.append(number)

        thread = threading.Thread(target=put)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        assert 8 <= len(done) <= 8 + 2 + 1
        go.set()
        thread.join(60)
        assert len(done) == 40


def test_an_error_reaches_those_of_its_batch_and_no_others() -> None:
    def encode(values: np.ndarray) -> np.ndarray:
        if (values < 0).any():
            raise RuntimeError("negative")
        return doubled(values)

    with Batcher(encode, 1) as batches:
        bad, good = (batches.put(np.full((1, 3), n, np.float32)) for n in (-1, 1))
        with pytest.raises(RuntimeError, match="negative"):
            bad.result(10)
        assert good.result(10).tolist() == [2]


def test_what_cannot_be_encoded_fails_alone_in_a_full_batch() -> None:
    started, go = threading.Event(), threading.Event()
    sizes: list[int] = []

    def encode(values: np.ndarray) -> np.ndarray:
        started.set()
        assert go.wait(60)
        if (values < 0).any():
            raise RuntimeError("negative")
        return doubled(values)

    with Batcher(encode, 100, on_batch=sizes.append) as batches:
        first = batches.put(np.zeros((1, 3), np.float32))
        assert started.wait(60)
        bad = batches.put(np.full((1, 3), -1, np.float32))
        odd = batches.put(np.zeros((1, 5), np.float32))
        good = [batches.put(np.full((1, 3), n, np.float32)) for n in range(1, 7)]
        go.set()
        first.result(10)
        with pytest.raises(RuntimeError, match="negative"):
            bad.result(10)
        assert odd.result(10).tolist() == [0]
        assert [future.result(10).tolist() for future in good] == [[2 * n] for n in range(1, 7)]
    assert sizes == [1, 8]


def test_closing_cancels_what_waits() -> None:
    started, go = threading.Event(), threading.Event()

    def encode(values: np.ndarray) -> np.ndarray:
        started.set()
        assert go.wait(60)
        return doubled(values)

    batches = Batcher(encode, 1)
    first = batches.put(np.zeros((1, 3), np.float32))
    assert started.wait(60)
    second = batches.put(np.zeros((1, 3), np.float32))
    closing = threading.Thread(target=batches.close)
    closing.start()
    with pytest.raises(CancelledError):
        second.result(10)
    go.set()
    closing.join(60)
    assert first.result(10).tolist() == [0]
    with pytest.raises(CancelledError):
        batches.put(np.zeros((1, 3), np.float32)).result(10)
