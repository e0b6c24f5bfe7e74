"""CLAP's windows: nothing at random, nothing left out, and the features of its own extractor."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.core.errors import CheckpointError
from earmark.model.encoders.clap_front_end import ClapFrontEnd
from tests.model.tiny import noise

RATE = 48_000
SMALL = {"sampling_rate": 1_000, "max_length_s": 1, "fft_window_size": 64, "hop_length": 50}
SMALL |= {"frequency_max": 500, "feature_size": 8, "truncation": "rand_trunc"}


def windows_of(front_end: ClapFrontEnd, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    blocks = list(front_end.windows([samples], 64))
    return tuple(map(np.concatenate, zip(*blocks, strict=True)))


@pytest.mark.parametrize("truncation", ["rand_trunc", "fusion"])
@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
@pytest.mark.parametrize("seconds", [0.02, 3.3, 10.0])
def test_features_are_those_of_claps_extractor(
    truncation: str, padding: str, seconds: float
) -> None:
    settings = {"truncation": truncation, "padding": padding, "frequency_min": 50}
    samples = noise(10, RATE)[: int(seconds * RATE)]
    theirs = transformers.ClapFeatureExtractor(**settings)(samples, sampling_rate=RATE)[
        "input_features"
    ][0][0]
    ours, starts = windows_of(ClapFrontEnd.from_config(settings), samples)
    assert starts.tolist() == [0.0]
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours[0], theirs, atol=1e-4)  # dB


def test_windows_of_a_long_sound_are_those_of_its_parts() -> None:
    extractor = transformers.ClapFeatureExtractor(truncation="rand_trunc")
    samples = noise(23.4, RATE)
    ours, starts = windows_of(ClapFrontEnd.from_config({"truncation": "rand_trunc"}), samples)
    assert starts.tolist() == [0.0, 5.0, 10.0, 13.4]
    for window, start in zip(ours, starts, strict=True):
        part = samples[round(start * RATE) :][: 10 * RATE]
        theirs = extractor(part, sampling_rate=RATE)["input_features"][0][0]
        np.testing.assert_allclose(window, theirs, atol=1e-4)


@given(st.lists(st.integers(1, 2_500), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_windows_leave_nothing_out_in_blocks_of_any_size(sizes: list[int]) -> None:
    front_end = ClapFrontEnd.from_config(SMALL)
    samples = np.random.default_rng(0).standard_normal(sum(sizes)).astype(np.float32)
    whole, starts = windows_of(front_end, samples)
    blocks = np.split(samples, np.cumsum(sizes)[:-1])
    pieces = list(front_end.windows(blocks, 2))
    np.testing.assert_array_equal(np.concatenate([each for each, _ in pieces]), whole)
    np.testing.assert_array_equal(np.concatenate([each for _, each in pieces]), starts)
    assert starts[0] == 0
    assert starts[-1] == max(0, len(samples) - 1_000) / 1_000  # aligned to the end
    assert (np.diff(starts) > 0).all()
    assert (np.diff(starts) <= 0.5).all()


def test_memory_does_not_grow_with_the_sound() -> None:
    front_end = ClapFrontEnd.from_config(SMALL)
    samples = np.ones((500, 1_000), dtype=np.float32)
    tracemalloc.start()
    for _ in front_end.windows(samples, 8):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < samples.nbytes / 10


def test_decoding_processes_import_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, earmark.model.encoders.clap_front_end, earmark.model.encoders.clap_files\n"
        "sys.exit(bool({'torch', 'transformers'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"padding": "mirror"}, "padding: expected repeatpad, repeat, pad, got 'mirror'"),
        ({"truncation": "cut"}, "truncation: expected rand_trunc, fusion, got 'cut'"),
        (
            {"sampling_rate": "fast"},
            "sampling_rate: expected a number .*, got 'fast'",
        ),
        ({"hop_length": 0}, "hop_length: expected a number from 1 to 65536, got 0"),
        ({"hop_length": True}, "hop_length: expected a number from 1 to 65536, got True"),
        ({"max_length_s": float("inf")}, "max_length_s: expected a number from 1 to 600, got inf"),
        ({"max_length_s": float("nan")}, "max_length_s: expected a number from 1 to 600, got nan"),
        ({"sampling_rate": 10**9}, "sampling_rate: expected a number from 1000 to 768000, got 10"),
        ({"frequency_min": 20_000}, "frequency_min below frequency_max"),
        (
            {"sampling_rate": 1_000, "fft_window_size": 60_000},
            "fft_window_size within max_length_s",
        ),
    ],
)
def test_what_cannot_be_heard_with_is_refused(stated: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        ClapFrontEnd.from_config(stated)
