"""Runs of a model of phrases: they learn, repeat, resume exactly, begin as a teacher or a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.model.checkpoint import Checkpoint, load
from earmark.model.core.errors import ConfigError
from earmark.model.text.sentence_vectors import SentenceVectors
from earmark.training.data.corpus import Corpus
from earmark.training.loop.initialization import attach_teacher
from earmark.training.loop.trainer import Trainer
from earmark.training.recipe import Recipe
from tests.training.loop.runs import StopsAfterOne, without_time
from tests.training.tiny import (
    CLASSES,
    PHRASES,
    QUICK,
    TAGS,
    tiny_corpus,
    tiny_model,
    tiny_teacher,
)

CONFIG = tiny_model("starter")
FROZEN = 17  # all convolutions


def corpus(*, taught: bool = False) -> Corpus:
    made = tiny_corpus(CONFIG, train=20, validation=12)
    if taught:
        made.teacher = tiny_teacher(CONFIG)
        made.card["teacher"] = {"name": "tiny"}
    return made


def trainer(out: Path, recipe: Recipe = PHRASES, *, taught: bool = False, **options: object):
    return Trainer(CONFIG, recipe, corpus(taught=taught), out, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """Two epochs without a teacher."""
    whole = trainer(tmp_path_factory.mktemp("run"))
    whole.fit()
    return whole


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """Two epochs that begin as the teacher, whose convolutions stay."""
    recipe = replace(PHRASES, frozen=FROZEN)
    whole = trainer(tmp_path_factory.mktemp("taught"), recipe, taught=True)
    whole.fit()
    return whole


def test_what_a_run_without_a_teacher_leaves(run: Trainer) -> None:
    losses = {name for name in run.history[0] if name.startswith("train_")}
    assert losses == {"train_loss", "train_contrastive", "train_tagwise"}  # nothing was known
    assert run.history[1]["train_loss"] < run.history[0]["train_loss"]
    best = load(run.out)
    assert isinstance(best.words, SentenceVectors)
    assert set(best.vocabulary) == set(TAGS)
    assert len(best.card["calibration"]["thresholds"]) == len(TAGS)


def test_it_leaves_a_background(run: Trainer) -> None:
    """The mean and the covariance of its training clips."""
    background = load(run.out).background
    assert background is not None
    assert background.mean.shape == (CONFIG.dim,)
    total = float(np.trace(background.covariance) + background.mean @ background.mean)
    assert total == pytest.approx(1, abs=1e-3)  # of unit vectors
    assert load(run.out / "last").background is None


def test_a_seed_gives_the_same_losses(run: Trainer, tmp_path: Path) -> None:
    again, other = trainer(tmp_path / "again"), trainer(tmp_path / "other", seed=1)
    for one in (again, other):
        one.fit()
    assert without_time(again.history) == without_time(run.history)
    assert without_time(other.history) != without_time(run.history)
    assert load(again.out).fingerprint == load(run.out).fingerprint


def test_a_stopped_run_goes_on(run: Trainer, tmp_path: Path) -> None:
    stopped = StopsAfterOne(CONFIG, PHRASES, corpus(), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit()
    resumed = trainer(tmp_path)
    assert resumed.resume()
    assert resumed.epoch == 1
    resumed.fit()
    assert without_time(resumed.history) == without_time(run.history)
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert load(tmp_path).fingerprint == load(run.out).fingerprint


def test_the_best_temperatures_are_learned(run: Trainer) -> None:
    assert run.objective.temperature != PHRASES.temperature
    assert run.embedder().card["temperature"] == pytest.approx(run.objective.temperature)


# With a teacher


def test_a_taught_run_rehearses(taught: Trainer) -> None:
    losses = {name for name in taught.history[0] if name.startswith("train_")}
    assert losses == {"train_loss", "train_contrastive", "train_tagwise", "train_teacher"}
    assert taught.objective.rehearsal is not None
    assert taught.objective.rehearsal.same_codes
    teacher = tiny_teacher(CONFIG)
    for name, value in taught.model.audio.convolutions.state_dict().items():
        assert torch.equal(value, teacher.convolutions[name]), name
    assert not any("rehearsal" in name for name in taught.model.state_dict())
    assert load(taught.out).card["teacher"] == {"name": "tiny"}


def test_rehearsal_keeps_what_was_known(taught: Trainer, tmp_path: Path) -> None:
    """Directions of the classes move further without it."""
    moved = []
    for weight in (1.0, 0.0):
        recipe = replace(taught.recipe, teacher_weight=weight, epochs=5)
        run = trainer(tmp_path / str(weight), recipe, taught=True)
        names = torch.from_numpy(run.corpus.train.said.classes.vectors)
        before = run.model.tags.eval().vectors(names).detach()
        run.fit()
        after = run.model.tags.eval().vectors(names).detach()
        moved.append(1 - float((before * after).sum(dim=1).mean()))
    assert moved[0] < moved[1]


def test_convolutions_that_learn(tmp_path: Path) -> None:
    """Then the rehearsal keeps a copy of the whole encoder."""
    run = trainer(tmp_path, replace(PHRASES, frozen=3, epochs=1), taught=True)
    start = {name: value.clone() for name, value in run.model.audio.state_dict().items()}
    assert not run.objective.rehearsal.same_codes
    run.fit()
    for name, value in run.model.audio.convolutions.state_dict().items():
        is_same = torch.equal(value, start[f"convolutions.{name}"])
        if int(name.split(".")[0]) < 3:
            assert is_same, name
        elif name.endswith("weight"):
            assert not is_same, name
    for name, value in run.objective.rehearsal.start.state_dict().items():
        assert torch.equal(value, start[name]), name


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_its_teacher(taught: Trainer, tmp_path: Path) -> None:
    stopped = StopsAfterOne(CONFIG, taught.recipe, corpus(taught=True), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit()
    with pytest.raises(ConfigError, match="holds a run with other settings"):
        trainer(tmp_path, taught.recipe).resume()
    resumed = trainer(tmp_path, taught.recipe, taught=True)
    assert resumed.resume()
    resumed.fit()
    assert without_time(resumed.history) == without_time(taught.history)
    for name, value in taught.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_presets_that_learn_from_none(tmp_path: Path) -> None:
    for name in ("w2v-128-1h", "first-starter"):
        config = tiny_model(name)
        with pytest.raises(ConfigError, match=rf"--teacher: the preset {config.name} learns from"):
            attach_teacher(tmp_path / "none.pt", tiny_corpus(config), config)


def test_the_card_names_the_teacher(teachers: Path) -> None:
    taught = corpus()
    attach_teacher(teachers / "mn04_as_mAP_432.pt", taught, CONFIG)
    assert taught.card["teacher"] == {"name": "EfficientAT mn04_as", "licence": "MIT"}


# With a model to begin with


@pytest.fixture
def start(run: Trainer) -> Checkpoint:
    return load(run.out / "last")


def test_a_run_can_begin_with_a_model(run: Trainer, start: Checkpoint, tmp_path: Path) -> None:
    tuned = PHRASES.for_fine_tuning()
    other = trainer(tmp_path, tuned, seed=5, start=start)
    for name, value in start.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name
    assert other.objective.rehearsal is not None  # of what that model knows
    metrics = other.fit()
    assert metrics["train_teacher"] >= 0
    assert len(other.history) == tuned.epochs == 1
    assert trainer(tmp_path, tuned, seed=5, start=start).resume()
    with pytest.raises(ConfigError, match="holds a run with other settings"):
        trainer(tmp_path, tuned, seed=5).resume()


def test_a_model_that_is_built_otherwise(start: Checkpoint, tmp_path: Path) -> None:
    config = tiny_model("w2v-128-1h")
    with pytest.raises(ConfigError, match="--from: expected a model of the preset w2v-128-1h"):
        Trainer(config, QUICK, tiny_corpus(config), tmp_path, start=start)


def test_batches_say_tags_and_classes(run: Trainer) -> None:
    """In other words while it trains, by their names while it validates."""
    clips, classes = run.corpus.train, run.corpus.train.said.classes
    names = torch.from_numpy(classes.vectors[classes.first])
    plain = PHRASES.without_augmentation()
    for recipe, is_plain in ((plain, True), (PHRASES, False)):
        batch = clips.make_batch(clips.indices[:6], recipe, np.random.default_rng(0))
        assert batch.rehearsed is not None
        assert batch.rehearsed.classes.shape == (len(CLASSES), 512)
        assert torch.equal(batch.rehearsed.classes, names) == is_plain
        assert (len(batch.rehearsed.translations) == 0) == is_plain
        padded = torch.cat([batch.all_tags, torch.zeros(1, 512)])
        assert torch.equal(padded[batch.tag_rows], batch.words) == is_plain
        assert torch.equal(batch.tag_rows == len(TAGS), ~batch.mask)
    without = replace(PHRASES, tagwise_weight=0.0)
    batch = clips.make_batch(clips.indices[:6], without, np.random.default_rng(0))
    assert batch.rehearsed is not None  # rehearsal needs no loss of single tags
