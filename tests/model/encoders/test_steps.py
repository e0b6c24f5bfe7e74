"""A sound → codes of its steps: the windows that are cut, and a slow loop over all of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.audio.log_mel import windows
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.encoders.steps import cut_windows
from earmark.model.timeline.steps import hear_sound
from tests.model import tiny
from tests.model.tiny import checkpoint_of, default_features, sentence_config, tiny_config

KINDS = ("mobilenet", "pooled", "strided")


@pytest.fixture(scope="module")
def embedders() -> dict[str, DualEmbedder]:
    configs = (sentence_config(), tiny_config("first-starter"), tiny_config())
    return dict(
        zip(KINDS, (DualEmbedder(checkpoint_of(config)) for config in configs), strict=True)
    )


def side_by_side(frames: np.ndarray, sizes: list[int], size: int) -> list[tuple]:
    """The blocks of windows that a decoder gives, cut where `sizes` say."""
    config = default_features(frames=size, n_mels=frames.shape[1], tail="align")
    blocks = []
    for whole, firsts in windows([frames], config):
        edges = [0, *np.cumsum(sizes).tolist(), len(whole)]
        for start, end in pairwise(edges):
            if start < min(end, len(whole)):
                blocks.append((whole[start:end], firsts[start:end]))
    return blocks


@given(
    st.integers(1, 300),
    st.lists(st.integers(1, 5), max_size=6),
    st.sampled_from([(32, 4), (16, 4), (8, 8)]),
)
def test_windows_start_each_hop_and_reach_the_end(
    count: int, sizes: list[int], hop_and_grid: tuple[int, int]
) -> None:
    size, (hop, grid) = 32, hop_and_grid
    frames = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    cut = list(cut_windows(side_by_side(frames, sizes, size), hop, grid))
    whole = np.concatenate([windows for windows, _ in cut])
    firsts = np.concatenate([firsts for _, firsts in cut])
    if count < size:  # padded with silence
        assert firsts.tolist() == [0]
        assert np.array_equal(whole[0, :count], frames)
        return
    for window, first in zip(whole, firsts.tolist(), strict=True):
        assert np.array_equal(window, frames[first : first + size])
    last = (count - size) // grid * grid
    expected = list(range(0, count - size + 1, hop))
    assert firsts.tolist() == expected + ([last] if last > expected[-1] else [])


def slow(embedder: DualEmbedder, frames: np.ndarray) -> np.ndarray:
    """The weighted mean of all that the overlapping windows tell of each step."""
    size, steps = embedder.config.features.frames, embedder.window_steps
    grid = size // steps
    last = (len(frames) - size) // grid
    starts = sorted({*range(0, last + 1, steps // 2), last})
    weights = [min(step + 1, steps - step) for step in range(steps)]
    told: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(last + steps)]
    for start in starts:
        [codes] = embedder.encode_steps(frames[None, start * grid : start * grid + size])
        for step in range(steps):
            told[start + step].append((weights[step], codes[step]))
    return np.stack([sum(w * code for w, code in each) / sum(w for w, _ in each) for each in told])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("windows_long", [1.0, 1.3, 2.0, 5.7])
def test_steps_are_those_of_a_slow_loop(
    embedders: dict[str, DualEmbedder], kind: str, windows_long: float
) -> None:
    embedder = embedders[kind]
    features = embedder.config.features
    samples = tiny.noise(windows_long * features.window_seconds, features.sample_rate)
    frames = embedder.log_mel(samples)
    if features.tail == "drop":
        frames = frames[: len(frames) // features.frames * features.frames]
    heard: list[float] = []
    for block in (1, 64):
        blocks = embedder.front_end.windows([samples], block)
        codes = embedder.encode_sound_steps(blocks, heard.append)
        assert codes.dtype == np.float16
        assert np.allclose(codes, slow(embedder, frames), rtol=0.01, atol=0.01)
    assert heard[0] > 0


def test_a_window_is_the_mean_of_its_steps(embedders: dict[str, DualEmbedder]) -> None:
    embedder = embedders["mobilenet"]
    features = embedder.config.features
    shape = (3, features.frames, features.n_mels)
    given = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    codes = embedder.encode_steps(given)
    assert codes.shape == (3, embedder.window_steps, embedder.code_dim)
    assert np.allclose(codes.mean(axis=1), embedder.encode(given), atol=1e-5)


@settings(max_examples=5)
@given(st.floats(0.01, 0.5))
def test_a_short_sound_is_heard(embedders: dict[str, DualEmbedder], seconds: float) -> None:
    embedder = embedders["mobilenet"]
    sound = tiny.noise(seconds, 32_000)
    blocks = embedder.front_end.windows([sound], 64)
    assert len(embedder.encode_sound_steps(blocks)) == embedder.window_steps


def test_a_file_is_heard(embedders: dict[str, DualEmbedder], tmp_path_factory: object) -> None:
    folder = tmp_path_factory.mktemp("steps")  # type: ignore[attr-defined]
    file = tiny.write(folder / "a.wav", tiny.noise(3.0, 32_000), 32_000)
    sound = hear_sound(embedders["mobilenet"], file, "a.wav")
    assert sound.info.duration == 3.0
    assert len(sound.codes) == pytest.approx(3.0 / 0.32, abs=1)
