"""Training on the codes of whole clips: the loss is that of their windows, and only where the
convolutions that give them are fixed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.model.checkpoint import Checkpoint, load
from earmark.model.encoders.dual import DualEmbedder
from earmark.training.data.corpus import Corpus
from earmark.training.data.dataset import TrainingSet
from earmark.training.distillation import bridge
from earmark.training.features.cache import FeatureSet
from earmark.training.features.encode_clips import clip_codes, clip_vectors
from earmark.training.loop.distributed import ProcessGroup
from earmark.training.loop.initialization import hear_clips, rehearsal_of
from earmark.training.loop.objective import Objective
from earmark.training.loop.trainer import Trainer
from earmark.training.loop.validation import validation_metrics
from tests.model.tiny import checkpoint_of, trained_like
from tests.training.loop.runs import StopsAfterOne, without_time
from tests.training.tiny import (
    PHRASES,
    QUICK,
    TAGS,
    sentences,
    tiny_corpus,
    tiny_model,
    tiny_teacher,
)

CONFIG = tiny_model("starter")
FROZEN = 17  # all convolutions
WHOLE = replace(PHRASES, patch="whole", frozen=FROZEN, other_tags=0.5)


@pytest.fixture(autouse=True)
def _hardly_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """How well phrases fit the teacher does not matter here."""
    monkeypatch.setattr(bridge, "FIT_STEPS", 2)


def corpus(*, taught: bool = True) -> Corpus:
    made = tiny_corpus(CONFIG, train=12, validation=12)
    if taught:
        made.teacher = tiny_teacher(CONFIG)
    return made


def start(seed: int = 3) -> Checkpoint:
    """A model to begin with, whose convolutions are not those of the teacher."""
    return Checkpoint(trained_like(CONFIG, seed), sentences(), TAGS, fingerprint=str(seed))


def codes_now(run: Trainer, clips: TrainingSet) -> np.ndarray:
    """Codes of the clips by the convolutions of the run's model."""
    model = copy.deepcopy(run.model).eval()
    embedder = DualEmbedder(Checkpoint(model, run.corpus.words, run.corpus.vocabulary))
    return clip_codes(embedder, clips.features, clips.indices.tolist())


def assert_close(codes: np.ndarray, others: np.ndarray) -> None:
    """But for what fused norms round otherwise."""
    np.testing.assert_allclose(codes, others, rtol=1e-3, atol=1e-4 * np.abs(others).max())


# The loss


@pytest.fixture(scope="module")
def one_window() -> TrainingSet:
    """Clips of exactly one window: the window is the whole clip."""
    made, frames = corpus(taught=False), CONFIG.features.frames
    clips = made.train
    features = clips.features
    cut = np.concatenate([features.clip(number)[:frames] for number in range(len(features))])
    clips.features = FeatureSet(cut, frames * np.arange(len(features) + 1), {})
    clips._loudest[:] = 0
    clips.to(torch.device("cpu"))  # the windows of the new features
    return clips


@pytest.mark.parametrize("training", [True, False])
def test_codes_give_the_loss_of_their_windows(one_window: TrainingSet, training: bool) -> None:
    """All of it: contrast, single tags and rehearsal, with tags dropped and said in other words."""
    recipe = replace(WHOLE, patch="loudest", gain=0.0, mask_frames=0, mask_mels=0)
    made = corpus(taught=False)
    made.train = one_window
    model = trained_like(CONFIG)
    rehearsal = rehearsal_of(model, made, recipe, fixed=True)
    with torch.no_grad():  # what was known and what is known now differ
        model.audio.projection.linear.weight.mul_(1.3).add_(0.01)
    objective = Objective(
        model, recipe, processes=ProcessGroup(), frozen=FROZEN, rehearsal=rehearsal
    ).train(training)
    losses = []
    for hears in (False, True):
        one_window.codes = None
        if hears:
            hear_clips(model, made)
        batch = one_window.make_batch(one_window.indices[:8], recipe, np.random.default_rng(4))
        assert (batch.log_mel is None, batch.codes is None) == (hears, not hears)
        torch.manual_seed(0)  # the same dropout
        losses.append({name: loss.item() for name, loss in objective(batch).items()})
    windows, codes = losses
    assert set(windows) == {"contrastive", "tagwise", "teacher", "loss"}
    assert codes == pytest.approx(windows, rel=1e-3)
    assert windows["teacher"] > 1e-3


def test_codes_teach_what_their_windows_teach(one_window: TrainingSet) -> None:
    recipe = replace(WHOLE, patch="loudest", gain=0.0, mask_frames=0, mask_mels=0)
    made = corpus(taught=False)
    made.train = one_window
    gradients = []
    for hears in (False, True):
        model, one_window.codes = trained_like(CONFIG), None
        if hears:
            hear_clips(model, made)
        objective = Objective(model, recipe, processes=ProcessGroup(), frozen=FROZEN).eval()
        batch = one_window.make_batch(one_window.indices[:8], recipe, np.random.default_rng(4))
        objective(batch)["loss"].backward()
        assert all(weight.grad is None for weight in model.audio.convolutions.parameters())
        gradients.append(model.audio.projection.linear.weight.grad)
    assert float(gradients[0].abs().max()) > 1e-3
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-4, rtol=1e-2)


# Runs


def test_a_taught_run_whose_convolutions_are_fixed_has_codes(tmp_path: Path) -> None:
    run = Trainer(CONFIG, WHOLE, corpus(), tmp_path)
    for clips in (run.corpus.train, run.corpus.validation):
        assert clips.codes is not None
        assert_close(clips.codes[clips.indices], codes_now(run, clips))
    [batch] = run.corpus.train.batches(replace(WHOLE, batch_size=12), (0, 0))
    assert batch.log_mel is None and batch.codes is not None


def test_a_run_that_begins_with_a_model_hears_with_it(tmp_path: Path) -> None:
    """Also where another run, of other convolutions, has used the same clips."""
    shared = corpus()
    taught = Trainer(CONFIG, WHOLE, shared, tmp_path / "taught")
    of_teacher = taught.corpus.train.codes
    run = Trainer(CONFIG, WHOLE, shared, tmp_path / "start", start=start())
    clips = run.corpus.train
    assert clips.codes is not None
    assert_close(clips.codes[clips.indices], codes_now(run, clips))
    assert not np.allclose(clips.codes, of_teacher, atol=1e-2)


def _of_strided_convolutions(out: Path) -> Trainer:
    """Whose network has too few layers for the recipe to freeze."""
    config = tiny_model()
    recipe = replace(QUICK, patch="whole", frozen=FROZEN)
    begin = checkpoint_of(config)
    return Trainer(config, recipe, tiny_corpus(config, 12, 6), out, start=begin)


@pytest.mark.parametrize(
    "made",
    [
        lambda out: Trainer(CONFIG, replace(WHOLE, frozen=FROZEN - 1), corpus(), out),
        lambda out: Trainer(CONFIG, replace(WHOLE, frozen=0), corpus(), out, start=start()),
        lambda out: Trainer(CONFIG, replace(WHOLE, patch="random"), corpus(), out),
        lambda out: Trainer(CONFIG, WHOLE, corpus(taught=False), out),
        _of_strided_convolutions,
    ],
    ids=["one learns", "all learn", "windows", "random weights", "other network"],
)
def test_other_runs_have_none(made: Callable[[Path], Trainer], tmp_path: Path) -> None:
    """Not even those that a run before has set, or a start as the teacher."""
    run = made(tmp_path)
    assert run.corpus.train.codes is None
    assert run.corpus.validation.codes is None
    [batch] = run.corpus.train.batches(replace(run.recipe, batch_size=12), (0, 0))
    assert batch.log_mel is not None and batch.codes is None


def test_codes_of_a_run_before_are_gone(tmp_path: Path) -> None:
    shared = corpus()
    Trainer(CONFIG, WHOLE, shared, tmp_path / "one")
    assert shared.train.codes is not None
    shared.teacher = None
    Trainer(CONFIG, WHOLE, shared, tmp_path / "other")
    assert shared.train.codes is None
    assert shared.validation.codes is None


def test_a_run_learns_leaves_what_others_leave_and_resumes(tmp_path: Path) -> None:
    recipe = replace(WHOLE, code_noise=0.2, batch_size=6)
    run = Trainer(CONFIG, recipe, corpus(), tmp_path / "whole")
    run.fit()
    losses = [row["train_loss"] for row in run.history]
    assert losses[1] < losses[0]
    assert set(run.history[0]) >= {"validation_loss", "mAP@10", "train_teacher", "train_tagwise"}
    best = load(run.out)
    assert best.background is not None
    assert len(best.card["calibration"]["thresholds"]) == len(TAGS)
    teacher = tiny_teacher(CONFIG)
    for name, value in run.model.audio.convolutions.state_dict().items():
        assert torch.equal(value, teacher.convolutions[name]), name
    stopped = StopsAfterOne(CONFIG, recipe, corpus(), tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        stopped.fit()
    resumed = Trainer(CONFIG, recipe, corpus(), tmp_path / "stopped")
    assert resumed.resume()
    resumed.fit()
    assert without_time(resumed.history) == without_time(run.history)
    assert load(resumed.out).fingerprint == best.fingerprint


def test_codes_validate_and_state_the_background_as_clips_do(tmp_path: Path) -> None:
    run = Trainer(CONFIG, WHOLE, corpus(), tmp_path)
    metrics = validation_metrics(run.objective, run.embedder(), run.corpus, 0)
    clips = run.corpus.validation
    best = run._checkpoint()
    background = run._background(best)
    vectors = clip_vectors(
        run.embedder(), run.corpus.train.features, run.corpus.train.indices.tolist()
    )
    np.testing.assert_allclose(background.mean, vectors.mean(axis=0), atol=1e-4)
    clips.codes = None
    windows = validation_metrics(run.objective, run.embedder(), run.corpus, 0)
    assert windows["mAP@10"] == pytest.approx(metrics["mAP@10"])
    assert windows["validation_loss"] != metrics["validation_loss"]  # of one window of each
