"""The teacher: read without running code, pruned, its codes cached and learnt from."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from earmark.model.checkpoint import load
from earmark.model.config import AudioConfig, ModelConfig, preset
from earmark.model.core.errors import ConfigError
from earmark.model.networks.audio_encoder import AudioEncoder
from earmark.model.networks.dual_encoder import DualEncoder
from earmark.training.distillation import teacher
from earmark.training.distillation.channel_pruning import prune_channels
from earmark.training.distillation.teacher_codes import compute_teacher_codes, window_starts
from earmark.training.errors import TrainingError
from earmark.training.loop.initialization import attach_teacher, initialise_weights
from earmark.training.loop.trainer import Trainer
from tests.training.tiny import QUICK, tiny_corpus, tiny_model

CONFIG = replace(tiny_model(), features=teacher.TEACHER_FEATURES)
LEARNS = replace(QUICK, epochs=2, gain=0.0, quieter=3.0, mix=0.5, tilt=0.3, teacher_weight=1.0)
LEARNS = replace(LEARNS, learned_temperature=True, frozen=2)


def state(seed: int = 0) -> dict[str, torch.Tensor]:
    """A checkpoint of the teacher's layout with random weights."""
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, torch.Tensor] = {}
    inputs = 1
    for number, outputs in enumerate(teacher.CHANNELS):
        block, place = number // 2 + 1, number % 2 + 1
        name = f"embedding_net.conv_block{block}"
        kernel = torch.randn(outputs, inputs, 3, 3, generator=generator)
        weights[f"{name}.conv{place}.weight"] = kernel * (2 / (9 * inputs)) ** 0.5
        for entry, value in (("weight", 1.0), ("bias", 0.0), ("running_var", 1.0)):
            weights[f"{name}.bn{place}.{entry}"] = torch.full((outputs,), value)
        weights[f"{name}.bn{place}.running_mean"] = 0.1 * torch.randn(outputs, generator=generator)
        weights[f"{name}.bn{place}.num_batches_tracked"] = torch.tensor(7)
        inputs = outputs
    weights["fc.0.0.weight"] = torch.ones(2, 2)  # its classifiers are not read
    return weights


def saved(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


@pytest.fixture(scope="module")
def checkpoint() -> bytes:
    return saved((state(), {"sfx": (np.int64(0), 78)}))


@pytest.fixture
def wheel(checkpoint: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel as PyPI has it, with other weights."""
    monkeypatch.setattr(teacher, "TEACHER_SHA256", hashlib.sha256(checkpoint).hexdigest())
    path = tmp_path / "aisfx.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(teacher.MEMBER, checkpoint)
    return path


def test_it_encodes_as_its_authors_wrote_it(wheel: Path, checkpoint: bytes) -> None:
    patches = torch.rand(2, 1, 112, 96)
    maps, weights = patches, state()
    for block in range(1, 5):
        for place in (1, 2):
            name = f"embedding_net.conv_block{block}"
            maps = functional.conv2d(maps, weights[f"{name}.conv{place}.weight"], padding=1)
            norm = [
                weights[f"{name}.bn{place}.{entry}"] for entry in ("running_mean", "running_var")
            ]
            maps = functional.relu(functional.batch_norm(maps, *norm))
        maps = functional.max_pool2d(maps, 2) if block < 4 else maps
    expected = maps.mean(dim=3).amax(dim=2)
    read = teacher.read_teacher(wheel)
    bare = wheel.with_name("checkpoint.pth")
    bare.write_bytes(checkpoint)
    with torch.inference_mode():
        torch.testing.assert_close(read.encode(patches), expected)
        torch.testing.assert_close(teacher.read_teacher(bare).encode(patches), expected)
        read.fuse()
        torch.testing.assert_close(read.encode(patches), expected, atol=1e-4, rtol=1e-4)


def test_other_files_are_refused(wheel: Path, tmp_path: Path) -> None:
    for data in (b"", b"PK rubbish"):
        (tmp_path / "bad.whl").write_bytes(data)
        with pytest.raises(TrainingError, match=r"--teacher: .*expected the wheel of aisfx"):
            teacher.read_teacher(tmp_path / "bad.whl")
    with pytest.raises(TrainingError, match="expected the wheel of aisfx"):
        teacher.read_teacher(tmp_path / "missing.pth")
    (tmp_path / "other.pth").write_bytes(saved((state(1), {})))
    with pytest.raises(TrainingError, match=r"expected the checkpoint of aisfx 0\.1\.2"):
        teacher.read_teacher(tmp_path / "other.pth")


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (open, ("ran", "w"))


def test_nothing_that_it_holds_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = saved(({"a": Evil()}, {}))
    monkeypatch.setattr(teacher, "TEACHER_SHA256", hashlib.sha256(data).hexdigest())
    (tmp_path / "evil.pth").write_bytes(data)
    with pytest.raises(TrainingError, match="holds more than plain parameters"):
        teacher.read_teacher(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def encoder(channels: tuple[int, ...], seed: int) -> AudioEncoder:
    """A pooled encoder, half of whose channels are soft copies of the other half."""
    torch.manual_seed(seed)
    audio = AudioConfig("pooled", channels, dropout=0.0, layer_norm=False, decoder=False)
    pooled = AudioEncoder(ModelConfig("wide", 1, replace(preset("starter").features), audio)).eval()
    for layer in pooled.convolutions:
        if isinstance(layer, torch.nn.Conv2d):
            half = layer.out_channels // 2
            layer.weight.data[half:] = 0.1 * layer.weight.data[:half]
    return pooled


def test_a_narrow_encoder_gives_nearly_the_same() -> None:
    wide, narrow = encoder((8, 8, 8, 16), 0), encoder((4, 4, 4, 8), 1)
    patches = torch.rand(48, 1, 48, 48) * torch.rand(48, 1, 1, 1)
    before = narrow.encode(patches)
    channels = prune_channels(wide, narrow, patches)
    with torch.inference_mode():
        other = torch.rand(32, 1, 48, 48) * torch.rand(32, 1, 1, 1)
        target, codes = wide.encode(other)[:, channels], narrow.encode(other)
    assert before.shape[1] == codes.shape[1] == len(channels) == 8
    error = (codes - target).square().mean() / target.var(dim=0).mean()
    assert error < 0.2  # the pruned channels held a tenth of the signal
    assert (before[:32] - target).square().mean() > 10 * (codes - target).square().mean()
    with pytest.raises(ConfigError, match="expected a narrower encoder with as many"):
        prune_channels(narrow, wide, patches)


def test_windows_on_the_grid() -> None:
    assert window_starts(50, 112).tolist() == [0]
    assert window_starts(112, 112).tolist() == [0]
    assert window_starts(200, 112).tolist() == [0, 56, 88]
    assert window_starts(280, 112).tolist() == [0, 56, 112, 168]


def test_codes_are_cached_and_do_not_depend_on_the_level(tmp_path: Path) -> None:
    features = tiny_corpus(CONFIG).train.features
    narrow = encoder((4, 4, 4, 8), 3)
    codes = compute_teacher_codes(narrow, features, tmp_path)
    assert codes.code_dim == 8
    assert len(codes.codes) == len(codes.starts) == codes.offsets[-1] >= len(features)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    again = compute_teacher_codes(
        encoder((4, 4, 4, 8), 4), features, tmp_path
    )  # read, not computed
    np.testing.assert_array_equal(again.codes, codes.codes)
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    quiet = replace(features, frames=features.frames - np.float16(1.5))
    other = compute_teacher_codes(narrow, quiet, tmp_path / "quiet")
    np.testing.assert_allclose(other.codes, codes.codes, atol=0.05)
    mean, deviation = codes.statistics(np.arange(len(features)))
    np.testing.assert_allclose(mean, codes.codes.astype(np.float32).mean(axis=0), atol=1e-3)
    assert (deviation >= 0.05).all()


def test_a_run_learns_its_teachers_codes(wheel: Path, tmp_path: Path) -> None:
    corpus = tiny_corpus(CONFIG)
    attach_teacher(wheel, corpus, LEARNS, tmp_path / "cache", mixed_precision=False)
    assert corpus.card["teacher"] == {"name": "aisfx 0.1.2", "licence": "CC-BY-4.0"}
    trainer = Trainer(CONFIG, LEARNS, corpus, tmp_path / "run")
    first = trainer.model.audio.convolutions[0].weight.clone()
    before = trainer.model.audio.convolutions[7].weight.clone()
    metrics = trainer.fit()
    assert torch.equal(first, trainer.model.audio.convolutions[0].weight)  # frozen
    assert not torch.equal(before, trainer.model.audio.convolutions[7].weight)
    assert metrics["train_teacher"] < trainer.history[0]["train_teacher"]
    assert (
        trainer.model.state_dict().keys()
        == Trainer(CONFIG, QUICK, tiny_corpus(CONFIG), tmp_path / "other").model.state_dict().keys()
    )  # the layer that predicts the teacher's codes is not part of the model
    assert trainer.embedder().card["temperature"] == pytest.approx(trainer.objective.temperature)
    assert trainer.objective.temperature != LEARNS.temperature


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_its_teacher(wheel: Path, tmp_path: Path) -> None:
    def run(out: str, kind: type[Trainer] = Trainer) -> Trainer:
        corpus = tiny_corpus(CONFIG)
        attach_teacher(wheel, corpus, LEARNS, tmp_path / "cache", mixed_precision=False)
        return kind(CONFIG, LEARNS, corpus, tmp_path / out)

    whole = run("whole")
    whole.fit()
    with pytest.raises(KeyboardInterrupt):
        run("part", StopsAfterOne).fit()
    resumed = run("part")
    assert resumed.resume()
    assert resumed.epoch == 1
    resumed.fit()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


class StopsAfterOne(Trainer):
    def _train_epoch(self, *arguments: object) -> dict[str, float]:
        if self.epoch == 1:
            raise KeyboardInterrupt
        return super()._train_epoch(*arguments)


def test_presets_that_learn_from_none(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--teacher: the preset .* learns from none"):
        attach_teacher(wheel, tiny_corpus(CONFIG), QUICK, tmp_path, mixed_precision=False)
    config = tiny_model("w2v-128-1h")
    with pytest.raises(ConfigError, match="--teacher: the preset w2v-128-1h learns from none"):
        attach_teacher(wheel, tiny_corpus(config), LEARNS, tmp_path, mixed_precision=False)


def test_a_run_can_begin_with_a_model(tmp_path: Path) -> None:
    first = Trainer(CONFIG, replace(QUICK, epochs=1), tiny_corpus(CONFIG), tmp_path / "first")
    first.fit()
    start = load(first.out / "last")
    tuned, corpus, out = QUICK.for_fine_tuning(), tiny_corpus(CONFIG), tmp_path / "other"
    other = Trainer(CONFIG, tuned, corpus, out, seed=5, start=start)
    for name, value in start.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name
    out.mkdir()
    other._save_state()
    assert Trainer(CONFIG, tuned, corpus, out, seed=5, start=start).resume()
    with pytest.raises(ConfigError, match="holds a run with other settings"):
        Trainer(CONFIG, tuned, corpus, out, seed=5).resume()
    with pytest.raises(ConfigError, match="--from: expected a model of the preset w2v-128-1h"):
        config = tiny_model("w2v-128-1h")
        Trainer(config, QUICK, tiny_corpus(config), tmp_path / "third", start=start)


def test_without_either_the_encoder_begins_anew() -> None:
    corpus = tiny_corpus(CONFIG)
    assert not initialise_weights(DualEncoder(CONFIG), corpus, QUICK, None, 0)
