"""Training: it learns, repeats, resumes exactly, and refuses what does not fit."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from earmark.model.checkpoint import load
from earmark.model.core.errors import CheckpointError, ConfigError
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import FILE_NAME
from earmark.training.errors import TrainingError
from earmark.training.loop import resume_state
from earmark.training.loop.device import DeviceSettings
from earmark.training.loop.optimizer import learning_rate
from earmark.training.loop.tensorboard import TensorBoardWriter
from earmark.training.loop.trainer import Trainer
from tests.training.loop.runs import without_time
from tests.training.tiny import KINDS, QUICK, TAGS, sound, tiny_corpus, tiny_model

CONFIG = tiny_model()
EPOCHS = 25


def trainer(out: Path, recipe: object = QUICK, **options: object) -> Trainer:
    return Trainer(CONFIG, recipe, tiny_corpus(CONFIG), out, **options)


class Interrupted(Trainer):
    """Stopped by its user while the third epoch runs."""

    def _train_epoch(self, *arguments: object) -> dict[str, float]:
        figures = super()._train_epoch(*arguments)
        if self.epoch == 2:
            raise KeyboardInterrupt
        return figures


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A run of a few epochs that other tests look at."""
    torch.manual_seed(0)
    other_run = trainer(tmp_path_factory.mktemp("run"), replace(QUICK, epochs=EPOCHS))
    other_run.fit()
    return other_run


def test_it_learns(run: Trainer) -> None:
    first, last = run.history[0], run.history[-1]
    assert last["train_loss"] < 0.8 * first["train_loss"]
    assert last["validation_loss"] < first["validation_loss"]
    best = max(row["mAP@10"] for row in run.history)
    assert best > 0.8  # chance is about 0.5


def test_the_best_model_finds_sounds_by_their_tags(run: Trainer) -> None:
    embedder = load_embedder(run.out)
    tags = [KINDS[kind][0] for kind in KINDS]
    generator = np.random.default_rng(99)
    names = np.repeat(np.arange(3), 40)
    kinds = list(KINDS)
    config = embedder.config.features
    hertz, size = config.sample_rate, config.frames
    frames = [embedder.log_mel(sound(kinds[name], generator, hertz))[:size] for name in names]
    vectors = embedder.project(embedder.encode(np.stack(frames)))
    nearest = (vectors @ embedder.embed_tags([[tag] for tag in tags]).T).argmax(axis=1)
    assert (nearest == names).mean() > 0.5  # chance is 1/3


def test_what_a_run_leaves(run: Trainer) -> None:
    names = {str(path.relative_to(run.out)) for path in run.out.rglob("*") if path.is_file()}
    assert names == {FILE_NAME, f"last/{FILE_NAME}", resume_state.FILE_NAME, "log.jsonl"}
    lines = [json.loads(line) for line in (run.out / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, EPOCHS + 1))
    assert [
        {**row, "epoch": line["epoch"]} for row, line in zip(run.history, lines, strict=True)
    ] == lines
    best = load(run.out)
    maps = [row["mAP@10"] for row in run.history]
    assert best.card["epochs"] == 1 + int(np.argmax(maps))
    assert load(run.out / "last").card["epochs"] == EPOCHS
    assert load(run.out / "last").card["history"] == run.history
    assert set(best.vocabulary) == set(TAGS)
    assert best.card["calibration"]["slope"] > 0
    assert len(best.card["calibration"]["thresholds"]) == len(TAGS)
    assert best.card["class_temperature"] > 0


def test_a_seed_gives_the_same_run(tmp_path: Path) -> None:
    recipe = replace(QUICK, epochs=1)
    histories = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        other_run = trainer(tmp_path / name, recipe, seed=seed)
        other_run.fit()
        histories.append(without_time(other_run.history))
    assert histories[0] == histories[1]
    assert histories[0] != histories[2]
    assert load(tmp_path / "a").fingerprint == load(tmp_path / "b").fingerprint


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_resuming_gives_the_uninterrupted_run(tmp_path: Path, optimizer: str) -> None:
    recipe = replace(QUICK, epochs=4, optimizer=optimizer, schedule="cosine", warmup_epochs=1)
    straight = trainer(tmp_path / "straight", recipe)
    straight.fit()
    stopped = Interrupted(CONFIG, recipe, tiny_corpus(CONFIG), tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        stopped.fit()
    resumed = trainer(tmp_path / "stopped", recipe)
    assert resumed.resume()
    assert resumed.epoch == 2
    resumed.fit()
    for one, other in zip(
        without_time(straight.history), without_time(resumed.history), strict=True
    ):
        assert other == pytest.approx(one, abs=1e-5)
    lines = (tmp_path / "stopped" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4]
    one, other = (load(tmp_path / name / "last").model for name in ("straight", "stopped"))
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor, atol=1e-4, rtol=1e-3)


def test_resuming_a_finished_run_changes_nothing(run: Trainer) -> None:
    again = trainer(run.out, run.recipe)
    before = (run.out / FILE_NAME).read_bytes()
    assert again.resume()
    assert again.fit() == run.history[-1]
    assert (run.out / FILE_NAME).read_bytes() == before


def test_nothing_to_resume(tmp_path: Path) -> None:
    assert not trainer(tmp_path).resume()


def test_refuses_to_resume_other_settings(run: Trainer) -> None:
    message = "resume: .* holds a run with other settings or data"
    for recipe, options in (
        (replace(run.recipe, learning_rate=1e-4), {}),
        (replace(run.recipe, epochs=20), {}),
        (run.recipe, {"seed": 5}),
    ):
        with pytest.raises(ConfigError, match=message):
            trainer(run.out, recipe, **options).resume()
    fewer = Trainer(CONFIG, run.recipe, tiny_corpus(CONFIG, train=27), run.out)
    with pytest.raises(ConfigError, match=message):
        fewer.resume()
    config = tiny_model("w2v-128-mean")
    other = Trainer(config, run.recipe, tiny_corpus(config), run.out)
    with pytest.raises(ConfigError, match=message):
        other.resume()


def test_refuses_a_state_that_is_none(run: Trainer, tmp_path: Path) -> None:
    (tmp_path / resume_state.FILE_NAME).write_bytes((run.out / FILE_NAME).read_bytes())
    with pytest.raises(CheckpointError, match="expected a training state, got 'model'"):
        trainer(tmp_path).resume()
    data = (run.out / resume_state.FILE_NAME).read_bytes()
    (tmp_path / resume_state.FILE_NAME).write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="truncated"):
        trainer(tmp_path).resume()


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    other_run = trainer(tmp_path)
    with torch.no_grad():
        other_run.model.audio.convolutions[0].weight[0, 0] = math.nan
    with pytest.raises(TrainingError, match="loss: not finite in epoch 1, step 0"):
        other_run.fit()
    assert not (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize("side", ["train", "validation"])
def test_refuses_a_corpus_without_clips(tmp_path: Path, side: str) -> None:
    corpus = tiny_corpus(CONFIG)
    empty = getattr(corpus, side)
    empty.indices = empty.indices[:0]
    with pytest.raises(TrainingError, match=f"corpus: {side}: expected clips with sound"):
        Trainer(CONFIG, QUICK, corpus, tmp_path)


def test_a_band_that_never_varies_does_not_break_the_scaler(tmp_path: Path) -> None:
    corpus = tiny_corpus(CONFIG)
    corpus.train.features.frames[:, 90:] = np.float16(np.log(CONFIG.features.log_offset))
    other_run = Trainer(CONFIG, replace(QUICK, epochs=1), corpus, tmp_path)
    assert math.isfinite(other_run.fit()["validation_loss"])


def test_the_scaler_is_that_of_the_training_clips(run: Trainer) -> None:
    frames = run.corpus.train.features.frames.astype(np.float32)
    np.testing.assert_array_equal(run.model.band_min.numpy(), frames.min(axis=0))
    np.testing.assert_array_equal(run.model.band_max.numpy(), frames.max(axis=0))
    scaled = run.model.scale(torch.from_numpy(frames)).numpy()
    assert scaled.min() == 0
    assert scaled.max() == pytest.approx(1, abs=1e-5)


def test_schedules() -> None:
    flat = replace(QUICK, learning_rate=1.0)
    assert {learning_rate(flat, step, 10) for step in range(30)} == {1.0}
    recipe = replace(QUICK, epochs=4, learning_rate=1.0, schedule="cosine", warmup_epochs=1)
    rates = [learning_rate(recipe, step, 10) for step in range(40)]
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    assert rates[10] == 1.0
    assert all(one > two for one, two in pairwise(rates[10:]))
    assert rates[25] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.01


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_resumed_optimiser_is_laid_out_as_its_parameters(tmp_path: Path, optimizer: str) -> None:
    """Fused optimisers on a GPU refuse anything else."""
    recipe = replace(QUICK, epochs=1, optimizer=optimizer)
    trainer(tmp_path, recipe).fit()
    resumed = trainer(tmp_path, recipe)
    resumed.resume()
    statistics = 0
    for parameter, entries in resumed.optimizer.state.items():
        for value in entries.values():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                assert value.stride() == parameter.stride()
                statistics += 1
    assert (statistics > 0) == (optimizer == "adamw")


def test_refuses_to_resume_with_other_words(run: Trainer) -> None:
    corpus = tiny_corpus(CONFIG)
    corpus.words.vectors[0] += 1
    other = Trainer(CONFIG, run.recipe, corpus, run.out)
    with pytest.raises(ConfigError, match="other settings or data"):
        other.resume()


def test_refuses_a_batch_of_one(tmp_path: Path) -> None:
    """Nothing to contrast, and no statistics."""
    with pytest.raises(ConfigError, match=r"batch: expected at least 2 clips .*, got 1"):
        trainer(tmp_path, replace(QUICK, batch_size=1))


def test_refuses_what_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="precision: expected float32 or bfloat16, got 'half'"):
        trainer(tmp_path, settings=DeviceSettings(precision="half"))


def test_mixed_precision_learns_as_float32_does(tmp_path: Path) -> None:
    config = tiny_model("coala")
    losses = []
    for precision in ("float32", "bfloat16"):
        recipe = replace(QUICK, epochs=4, audio_weight=5.0, tag_weight=5.0)
        settings = DeviceSettings(precision=precision)
        out = tmp_path / precision
        other_run = Trainer(config, recipe, tiny_corpus(config), out, settings=settings)
        other_run.fit()
        losses.append([row["train_loss"] for row in other_run.history])
        assert other_run.model.band_min.dtype == torch.float32
        assert all(parameter.dtype == torch.float32 for parameter in other_run.model.parameters())
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.03)
    assert losses[1] != losses[0]


def test_tensorboard_gets_metrics_images_and_tags(tmp_path: Path) -> None:
    config = tiny_model("w2v-128-4h")
    recipe = replace(QUICK, epochs=2, audio_weight=5.0)
    writer = TensorBoardWriter(tmp_path / "tensorboard")
    other_run = Trainer(config, recipe, tiny_corpus(config), tmp_path, tensorboard=writer)
    other_run.fit()
    writer.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"train/loss", "validation/loss", "mAP@10"} <= set(tags["scalars"])
    assert tags["images"] == ["reconstruction"]
    values = [event.value for event in events.Scalars("train/loss")]
    assert values == pytest.approx([row["train_loss"] for row in other_run.history])
    names = next((tmp_path / "tensorboard").rglob("metadata.tsv")).read_text().splitlines()
    assert sorted(names) == sorted(TAGS)
