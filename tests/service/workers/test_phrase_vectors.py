"""Phrases are embedded in turns: requests of many keep nobody waiting, and limits hold."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from earmark.model.core.arrays import Array
from earmark.model.core.errors import InputError
from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from earmark.service.http.problems import ProblemError
from earmark.service.observability.metrics import Metrics
from earmark.service.workers import phrase_vectors
from earmark.service.workers.phrase_vectors import MAX_BATCH, Phrase, PhraseVectors
from tests.model import tiny


def phrases(*texts: str) -> list[Phrase]:
    return [Phrase(text, f"input[{place}]") for place, text in enumerate(texts)]


def count_batches(embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that gets the size of each batch."""
    batches: list[int] = []
    embed_tags = embedder.embed_tags

    def counted(tag_sets: Sequence[Sequence[str]]) -> Array:
        batches.append(len(tag_sets))
        return embed_tags(tag_sets)

    monkeypatch.setattr(embedder, "embed_tags", counted)
    return batches


def test_one_of_many_phrases_keeps_no_other_waiting(model_folder: Path) -> None:
    embedder = load_embedder(model_folder)
    many = [tiny.WORDS[number % 20] for number in range(40 * MAX_BATCH)]

    async def ask() -> None:
        worker = PhraseVectors(embedder, Metrics(), 60)
        large = asyncio.ensure_future(worker.embed(phrases(*many)))
        await asyncio.sleep(0)
        small, words = await worker.embed(phrases("dog bark"))
        assert not large.done()
        assert words == 2
        assert small == pytest.approx(embedder.embed_tags([["dog", "bark"]]), abs=1e-6)
        vectors, words = await large
        assert (vectors.shape, words) == ((len(many), embedder.dim), len(many))
        alone = embedder.embed_tags([[word] for word in tiny.WORDS[:20]])
        assert vectors == pytest.approx(alone[np.arange(len(many)) % 20], abs=1e-6)

    asyncio.run(ask())


def test_long_phrases_fill_a_batch_sooner(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = load_embedder(model_folder)
    embed_tags = embedder.embed_tags
    batches = count_batches(embedder, monkeypatch)
    long = "dog " + "x" * 19_000
    asked = phrases(long, long, *["rain"] * 40, long)
    vectors, words = asyncio.run(PhraseVectors(embedder, Metrics(), 60).embed(asked))
    assert batches == [1, 13, 28, 1]
    assert words == len(asked)
    assert vectors == pytest.approx(embed_tags([["dog"]] * 2 + [["rain"]] * 40 + [["dog"]]))


def test_too_many_phrases_too_slow_ones_and_unknown_ones_are_refused(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = load_embedder(model_folder)
    monkeypatch.setattr(phrase_vectors, "MAX_WAITING", 3)

    async def ask() -> None:
        worker = PhraseVectors(embedder, Metrics(), 60)
        first = asyncio.ensure_future(worker.embed(phrases("dog", "rain")))
        await asyncio.sleep(0)
        with pytest.raises(ProblemError, match="2 phrases are waiting"):
            await worker.embed(phrases("dog", "rain"))
        await first
        with pytest.raises(InputError, match=r"input\[1\]: expected words .*, got '…'"):
            await worker.embed(phrases("dog", "…"))
        assert len((await worker.embed(phrases("dog", "rain", "bell")))[0]) == 3
        with pytest.raises(ProblemError, match="not embedded within 0 s"):
            await PhraseVectors(embedder, Metrics(), 0).embed(phrases("dog"))

    asyncio.run(ask())


def test_requests_share_a_batch_but_not_an_error(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = load_embedder(model_folder)
    embed_tags = embedder.embed_tags
    batches = count_batches(embedder, monkeypatch)

    async def ask(*texts: str) -> list[object]:
        worker = PhraseVectors(embedder, Metrics(), 60)
        asked = (worker.embed(phrases(text)) for text in texts)
        return await asyncio.gather(*asked, return_exceptions=True)

    assert all(isinstance(made, tuple) for made in asyncio.run(ask("dog", "rain", "bell")))
    assert batches == [3]
    good, bad, other = asyncio.run(ask("dog", "…", "rain"))
    assert isinstance(bad, InputError)
    assert isinstance(good, tuple)
    assert isinstance(other, tuple)
    assert good[0] == pytest.approx(embed_tags([["dog"]]), abs=1e-6)
    assert other[0] == pytest.approx(embed_tags([["rain"]]), abs=1e-6)
