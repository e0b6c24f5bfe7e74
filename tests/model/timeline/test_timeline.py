"""A sound → lanes of tags with events: those asked for, or suggested."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from earmark.model import zero_shot
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.embedder import Embedder
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.timeline import timeline
from earmark.model.timeline.steps import HeardSound
from earmark.model.timeline.timeline import MAX_SUGGESTED, make_timeline
from earmark.model.zero_shot import Labels
from tests.model import tiny
from tests.model.tiny import checkpoint_of, tiny_config

SECONDS = 30.0
CALIBRATION = {
    "temperature": 0.1,
    "slope": 6.0,
    "crowd": -1.0,
    "intercepts": [0.0] * 20,
    "thresholds": [0.5] * 20,
    "rates": [0.1] * 20,
}


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    checkpoint = checkpoint_of(tiny_config("first-starter"), vocabulary=20)
    checkpoint.card |= {"calibration": CALIBRATION}
    return DualEmbedder(checkpoint)


@pytest.fixture(scope="module")
def sound(embedder: Embedder) -> HeardSound:
    rate = embedder.front_end.sample_rate
    samples = tiny.noise(SECONDS, rate)
    codes = embedder.encode_sound_steps(embedder.front_end.windows([samples], 64))
    return HeardSound(codes, SoundInfo(rate, 1, len(samples)))


def labels_of(embedder: Embedder, *names: str) -> Labels:
    return zero_shot.embed_labels(embedder, zero_shot.plain_prompts(names))


def test_lanes_are_those_asked_for_in_their_order(embedder: Embedder, sound: HeardSound) -> None:
    made = make_timeline(embedder, sound, labels_of(embedder, "rain", "dog bark", "xyzzy bell"))
    assert [lane.tag for lane in made.tags] == ["rain", "dog bark", "xyzzy bell"]
    assert (made.duration, made.damaged) == (SECONDS, 0.0)
    assert made.sample_rate == sound.info.sample_rate
    assert made.ignored == ["xyzzy"]
    for lane in made.tags:
        assert all(0 <= event.start < event.end <= SECONDS for event in lane.events)


def test_suggested_lanes_are_few_and_heard(embedder: Embedder, sound: HeardSound) -> None:
    made = make_timeline(embedder, sound, None)
    assert 0 < len(made.tags) <= MAX_SUGGESTED
    assert len({lane.tag for lane in made.tags}) == len(made.tags)
    assert all(lane.tag in embedder.vocabulary for lane in made.tags)


def test_how_it_is_computed_in_parts_does_not_matter(
    embedder: Embedder, sound: HeardSound, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = labels_of(embedder, *embedder.vocabulary)
    whole = make_timeline(embedder, sound, labels)
    suggested = make_timeline(embedder, sound, None)
    assert any(lane.events for lane in whole.tags)
    monkeypatch.setattr(timeline, "CHUNK", 7)
    for before, labels_then in ((whole, labels), (suggested, None)):
        parts = make_timeline(embedder, sound, labels_then)
        assert [lane.tag for lane in parts.tags] == [lane.tag for lane in before.tags]
        for lane, other in zip(parts.tags, before.tags, strict=True):
            assert [(e.start, e.end) for e in lane.events] == [
                (e.start, e.end) for e in other.events
            ]


def test_a_stretch_is_where_it_lies(embedder: Embedder, sound: HeardSound) -> None:
    """A label that has the direction of one stretch is heard there, and there alone."""
    codes = sound.codes.copy()
    codes[:] = codes[0]
    codes[60:80] = sound.codes[len(codes) // 2]
    vectors = embedder.project(codes[[0, 70]].astype(np.float32))
    across = vectors[1] - (vectors[1] @ vectors[0]) * vectors[0]
    label = Labels(["there"], (across / np.linalg.norm(across))[None], [], [])
    checkpointed = replace(
        embedder.calibration, slope=40.0, intercepts=np.full(20, -8.0), crowd=0.0
    )
    other = copy.copy(embedder)
    other.calibration = checkpointed
    [lane] = make_timeline(other, HeardSound(codes, sound.info), label).tags
    [event], step = lane.events, embedder.step_seconds
    assert event.start == pytest.approx(60 * step, abs=5 * step)
    assert event.end == pytest.approx(80 * step, abs=5 * step)


def test_a_model_without_a_vocabulary_suggests_nothing(sound: HeardSound) -> None:
    checkpoint = checkpoint_of(tiny_config("first-starter"), vocabulary=0)
    assert make_timeline(DualEmbedder(checkpoint), sound, None).tags == []
