"""TensorBoard: what is written is what TensorBoard reads back."""

from __future__ import annotations

import io
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from torch import Tensor

from earmark.model.core.errors import ConfigError
from earmark.training.loop.tensorboard import MAX_PATCHES, TensorBoardWriter

T, F = 12, 7


def read(folder: Path) -> EventAccumulator:
    """All events of a folder, none left out."""
    kinds = (event_accumulator.SCALARS, event_accumulator.IMAGES)
    events = EventAccumulator(str(folder), size_guidance=dict.fromkeys(kinds, 0))
    return events.Reload()


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of each name."""
    events = read(folder)
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def picture(folder: Path) -> np.ndarray:
    """The one picture of a folder [height, width], which is grey."""
    [event] = read(folder).Images("reconstruction")
    assert event.step == 3
    image = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)).convert("RGB"))
    assert image.shape == (event.height, event.width, 3)
    assert (image == image[..., :1]).all()
    return image[..., 0]


def draw(folder: Path, patches: Tensor, estimates: Tensor) -> np.ndarray:
    writer = TensorBoardWriter(folder)
    writer.write_reconstructions(3, patches, estimates)
    writer.close()
    return picture(folder)


def projector(folder: Path) -> ProjectorConfig:
    text = (folder / "projector_config.pbtxt").read_text()
    return text_format.Parse(text, ProjectorConfig())


class TestScalars:
    def test_they_are_filed_by_their_side(self, tmp_path: Path) -> None:
        writer = TensorBoardWriter(tmp_path)
        for epoch in (1, 2):
            figures = {
                "train_loss": 2.5 / epoch,
                "validation_loss": 3.0 / epoch,
                "train_audio_loss": 0.25 * epoch,
                "mAP@10": 0.125 * epoch,
                "seconds": 7,
            }
            writer.write_scalars(epoch, figures)
        writer.close()
        assert scalars(tmp_path) == {
            "train/loss": [(1, 2.5), (2, 1.25)],
            "validation/loss": [(1, 3.0), (2, 1.5)],
            "train/audio_loss": [(1, 0.25), (2, 0.5)],
            "mAP@10": [(1, 0.125), (2, 0.25)],
            "seconds": [(1, 7.0), (2, 7.0)],
        }

    def test_they_can_be_read_while_the_run_goes_on(self, tmp_path: Path) -> None:
        writer = TensorBoardWriter(tmp_path)
        writer.write_scalars(1, {"train_loss": 0.5})
        assert scalars(tmp_path) == {"train/loss": [(1, 0.5)]}
        writer.close()

    def test_values_that_are_not_finite_are_written(self, tmp_path: Path) -> None:
        writer = TensorBoardWriter(tmp_path)
        writer.write_scalars(1, {"a": math.inf, "b": math.nan})
        writer.close()
        values = scalars(tmp_path)
        assert values["a"] == [(1, math.inf)]
        assert math.isnan(values["b"][0][1])

    def test_a_resumed_run_replaces_what_it_trains_again(self, tmp_path: Path) -> None:
        first = TensorBoardWriter(tmp_path)
        for epoch in (1, 2, 3):
            first.write_scalars(epoch, {"train_loss": float(epoch)})
        first.close()
        for file in tmp_path.iterdir():  # a second ago: within one, names are not in order of time
            name = re.sub(r"\d{10}", lambda found: str(int(found[0]) - 1), file.name, count=1)
            file.rename(file.with_name(name))
        resumed = TensorBoardWriter(tmp_path, epoch=1)
        resumed.write_scalars(2, {"train_loss": 20.0})
        resumed.close()
        assert scalars(tmp_path) == {"train/loss": [(1, 1.0), (2, 20.0)]}


class TestReconstructions:
    def test_two_rows_of_eight(self, tmp_path: Path) -> None:
        patches = torch.rand(MAX_PATCHES + 3, 1, T, F)
        image = draw(tmp_path, patches, 1 - patches)
        assert image.shape == (2 * F, MAX_PATCHES * T)
        for number in range(MAX_PATCHES):
            left = number * T
            upper = image[:F, left : left + T]
            expected = patches[number, 0].numpy().T[::-1] * 255  # low bands lie at the bottom
            np.testing.assert_allclose(upper, expected, atol=1)
            lower = image[F:, left : left + T]
            np.testing.assert_allclose(lower, 255 - expected, atol=1)

    def test_fewer_clips_make_shorter_rows(self, tmp_path: Path) -> None:
        patches = torch.rand(2, 1, T, F)
        assert draw(tmp_path, patches, patches).shape == (2 * F, 2 * T)

    def test_estimates_out_of_range_are_black_or_white(self, tmp_path: Path) -> None:
        patches = torch.full((1, 1, T, F), 0.5)
        estimates = patches.clone()
        estimates[..., : T // 2, :], estimates[..., T // 2 :, :] = -3, 4
        image = draw(tmp_path, patches, estimates)
        assert set(image[:F].ravel()) == {127}
        assert set(image[F:, : T // 2].ravel()) == {0}
        assert set(image[F:, T // 2 :].ravel()) == {255}

    def test_half_precision_is_drawn(self, tmp_path: Path) -> None:
        patches = torch.rand(1, 1, T, F)
        image = draw(tmp_path, patches, patches.bfloat16())
        np.testing.assert_allclose(image[F:].astype(int), image[:F], atol=2)


class TestTags:
    def test_one_row_for_each_tag(self, tmp_path: Path) -> None:
        names = ["rain", "wind", "hi-hat", "рок"]
        vectors = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
        writer = TensorBoardWriter(tmp_path)
        writer.write_tag_embeddings(7, names, vectors)
        writer.close()
        [embedding] = projector(tmp_path).embeddings
        assert embedding.tensor_name == "default:00007"
        written = np.loadtxt(tmp_path / embedding.tensor_path, delimiter="\t", dtype=np.float32)
        np.testing.assert_array_equal(written, vectors)
        lines = (tmp_path / embedding.metadata_path).read_text(encoding="utf-8").splitlines()
        assert lines == names

    def test_epochs_stand_side_by_side(self, tmp_path: Path) -> None:
        writer = TensorBoardWriter(tmp_path)
        for epoch in (1, 2):
            writer.write_tag_embeddings(
                epoch, ["rain", "wind"], np.eye(2, dtype=np.float32) * epoch
            )
        writer.close()
        embeddings = projector(tmp_path).embeddings
        assert [embedding.tensor_name for embedding in embeddings] == [
            "default:00001",
            "default:00002",
        ]
        first, second = (np.loadtxt(tmp_path / embedding.tensor_path) for embedding in embeddings)
        np.testing.assert_array_equal(2 * first, second)

    def test_vectors_that_cannot_be_written_to_are_no_matter(self, tmp_path: Path) -> None:
        vectors = np.eye(3, dtype=np.float32)
        vectors.flags.writeable = False
        writer = TensorBoardWriter(tmp_path)
        writer.write_tag_embeddings(1, ["a", "b", "c"], vectors)
        writer.close()
        [embedding] = projector(tmp_path).embeddings
        np.testing.assert_array_equal(np.loadtxt(tmp_path / embedding.tensor_path), vectors)

    def test_no_tags_write_no_projector(self, tmp_path: Path) -> None:
        writer = TensorBoardWriter(tmp_path)
        writer.write_tag_embeddings(1, [], np.zeros((0, 4), dtype=np.float32))
        writer.close()
        assert [path.name for path in tmp_path.iterdir() if "tfevents" not in path.name] == []


def test_without_tensorboard_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # as if not installed
    with pytest.raises(ConfigError, match="--tensorboard: needs the package tensorboard"):
        TensorBoardWriter(tmp_path / "board")
    assert not (tmp_path / "board").exists()
