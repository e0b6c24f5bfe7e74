"""The task `retrieval`: its protocol, and its metrics for perfect and for random embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earmark.model.core.errors import InputError
from earmark.model.core.manifest import read_manifest
from earmark.model.embedder import Embedder
from earmark.model.encoders.dual import DualEmbedder
from earmark.training.errors import CorpusError
from earmark.training.evaluation import retrieval
from tests.model.tiny import checkpoint_of
from tests.training.tiny import KINDS, tiny_model, words_of, write_corpus


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    checkpoint = checkpoint_of(tiny_model())
    checkpoint.words = words_of(16)
    return DualEmbedder(checkpoint)


def sets(count: int) -> list[Sequence[str]]:
    return [list(KINDS.values())[number % 3] for number in range(count)]


def test_sounds_at_their_tags_are_found_perfectly(embedder: Embedder) -> None:
    """Every sound stands exactly where its tag set stands."""
    tag_sets = sets(18)
    scores = retrieval.score(embedder, embedder.embed_tags(tag_sets), tag_sets)
    assert scores["set_to_audio"]["mAP@10"] == 1
    assert scores["set_to_audio"]["median_rank"] == 1
    assert scores["tag_to_audio"]["mAP@10"] > scores["tag_to_audio_chance"]["mAP@10"] + 0.2
    assert scores["audio_to_tag"]["mAP@10"] > scores["audio_to_tag_chance"]["mAP@10"]


def test_sounds_anywhere_are_found_by_chance(embedder: Embedder) -> None:
    tag_sets = sets(60)
    anywhere = np.random.default_rng(0).standard_normal((60, 16)).astype(np.float32)
    scores = retrieval.score(embedder, anywhere, tag_sets)
    metrics, chance = scores["tag_to_audio"], scores["tag_to_audio_chance"]
    assert metrics["mAP@10"] == pytest.approx(chance["mAP@10"], abs=0.2)


def test_refuses_too_few_clips(embedder: Embedder) -> None:
    tag_sets = sets(4)
    with pytest.raises(CorpusError, match="retrieval: expected a tag with 5 clips or more"):
        retrieval.score(embedder, embedder.embed_tags(tag_sets), tag_sets)
    with pytest.raises(InputError):
        retrieval.score(embedder, np.full((6, 16), np.nan, np.float32), sets(6) * 3)


def test_the_whole_task(embedder: Embedder, tmp_path: Path) -> None:
    path = write_corpus(tmp_path, 3, 17)
    (tmp_path / "004.wav").write_text("broken")
    result = retrieval.evaluate(embedder, read_manifest(path), tmp_path / "cache")
    protocol = result["protocol"]
    assert protocol["clips"] == 16
    assert protocol["groups"] == sorted(str(number) for number in range(3, 20) if number != 4)
    assert list(protocol["failed"]) == [str(tmp_path / "004.wav")]
    assert protocol["min_clips_per_query"] == 5
    for metric in result["metrics"].values():
        assert set(metric) == {"mean", "std", "runs"}
        assert metric["runs"] == [metric["mean"]]
    assert 0 < result["metrics"]["tag_to_audio mAP@10"]["mean"] <= 1


def test_the_split_test_is_asked_for_where_there_is_one(embedder: Embedder, tmp_path: Path) -> None:
    rows = read_manifest(write_corpus(tmp_path, 27, 3, embedder.front_end.sample_rate))
    for number, row in enumerate(rows):
        rows[number] = replace(row, split="test" if number % 2 else "validation")
    result = retrieval.evaluate(embedder, rows, tmp_path / "cache")
    assert result["protocol"]["held_out"] == "the split test"
    assert result["protocol"]["groups"] == sorted({row.group for row in rows[1::2]})


def test_a_corpus_in_which_nothing_is_usable(embedder: Embedder, tmp_path: Path) -> None:
    lines = ["path,tags,split", "a.wav,tone,train", "b.wav,xyzzyx,validation"]
    write_corpus(tmp_path, 2, 0)
    (tmp_path / "000.wav").rename(tmp_path / "a.wav")
    (tmp_path / "001.wav").rename(tmp_path / "b.wav")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    with pytest.raises(CorpusError, match="clips with sound and a known tag, got none in 1"):
        retrieval.evaluate(embedder, read_manifest(tmp_path), tmp_path / "cache")
