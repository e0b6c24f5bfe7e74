"""The task of captions, with a tiny model and real sounds."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from earmark.model.checkpoint import save
from earmark.model.core.errors import ConfigError
from earmark.model.embedder import Embedder
from earmark.model.encoders.dual import DualEmbedder
from earmark.training.errors import CorpusError
from earmark.training.evaluation import captions
from tests.model.tiny import checkpoint_of
from tests.training.cli.test_evaluate import run
from tests.training.tiny import tiny_model, words_of, write_corpus

CAPTIONS = {
    "000.wav": ["a steady tone", "whistle"],
    "001.wav": ["hiss of wind", "xyzzyx"],  # the model knows no word of the second
    "002.wav": ["a clock", "short click"],
    "003.wav": ["a steady tone", "qwrtz"],  # the first is another sound's too
    "broken.wav": ["wind", "short"],
    "gone.wav": ["tone", "click"],
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captions")
    write_corpus(folder, 4, 0)
    (folder / "broken.wav").write_text("broken")
    with (folder / "captions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", "caption_1", "caption_2"])
        rows.writerows([name, *texts] for name, texts in CAPTIONS.items())
    return folder / "captions.csv"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    checkpoint = checkpoint_of(tiny_model())
    checkpoint.words = words_of(16)
    save(folder, checkpoint)
    return folder


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    checkpoint = checkpoint_of(tiny_model())
    checkpoint.words = words_of(16)
    return DualEmbedder(checkpoint)


def test_each_caption_and_each_sound_is_a_query(embedder: Embedder, table: Path) -> None:
    result = captions.evaluate(embedder, table, table.parent)
    protocol, metrics = result["protocol"], result["metrics"]
    assert (protocol["clips"], protocol["captions"], protocol["unknown_captions"]) == (4, 8, 2)
    assert (protocol["missing"], list(protocol["failed"])) == (1, ["broken.wav"])
    assert protocol["ties"] == "pessimistic"
    names = [name for name in CAPTIONS if name not in ("broken.wav", "gone.wav")]
    sounds = np.stack([embedder.embed_audio(table.parent / name).vector for name in names])
    ranks = []  # of the right sound among the four
    for sound, name in enumerate(names):
        for text in CAPTIONS[name]:
            tags = embedder.parse_tags(text).pieces
            if tags:
                cosines = np.round(sounds @ embedder.embed_tags([tags])[0], 6)
                ranks.append(1 + int((np.delete(cosines, sound) >= cosines[sound]).sum()))
    assert len(ranks) == 6
    figures = {name: figure["mean"] for name, figure in metrics.items()}
    assert figures["text_to_audio R@1"] == pytest.approx(sum(rank == 1 for rank in ranks) / 8)
    assert figures["text_to_audio R@5"] == pytest.approx(6 / 8)  # unknown ones are misses
    assert figures["text_to_audio mAP@10"] == pytest.approx(sum(1 / rank for rank in ranks) / 8)
    assert figures["audio_to_text R@10"] == 1
    assert len(figures) == 10
    assert all(0 <= value <= 1 for value in figures.values())


def test_what_the_sounds_are_named_does_not_matter(embedder: Embedder, table: Path) -> None:
    """Copies of one sound tie, whatever their order: the worst of it counts."""
    first = (table.parent / "000.wav").read_bytes()
    for name in ("a.wav", "b.wav", "c.wav"):
        (table.parent / name).write_bytes(first)
    copies = table.parent / "copies.csv"
    copies.write_text("file_name,caption_1\n" + "".join(f"{n}.wav,tone\n" for n in "abc"))
    figures = captions.evaluate(embedder, copies, table.parent)["metrics"]
    assert figures["text_to_audio R@1"]["mean"] == 0
    assert figures["text_to_audio mAP@10"]["mean"] == pytest.approx(1 / 3)


def test_the_command_prints_one_object(
    table: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("evaluate", "captions", "--data", table, "--model", model)
    assert run(*common, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {"task", "model", "protocol", "metrics"}
    assert set(result["metrics"]["text_to_audio mAP@16"]) == {"mean", "std", "runs"}
    assert run(*common, "--audio", table.parent) == 0
    assert "audio_to_text R@10" in capsys.readouterr().out
    with pytest.raises(CorpusError, match="none of its 6 captioned sounds is in"):
        run(*common, "--audio", tmp_path)
    with pytest.raises(ConfigError, match="--audio: is for the task captions, not retrieval"):
        run("evaluate", "retrieval", "--data", table, "--audio", tmp_path)
    with pytest.raises(ConfigError, match="mfcc knows no words, it cannot do captions"):
        run("evaluate", "captions", "--data", table, "--model", "mfcc")


def test_no_sound_can_be_read(embedder: Embedder, table: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_text("broken")
    with pytest.raises(CorpusError, match="none of 1 sounds could be read"):
        captions.evaluate(embedder, table, tmp_path)
