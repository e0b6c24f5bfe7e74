"""A sound that is heard step by step (`Embedder.encode_sound_steps`). Axes: S = steps, V = code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earmark.model.audio.decode import SoundReader, Source
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.embedder import Embedder


@dataclass(frozen=True)
class HeardSound:
    """The codes [S, V] of a sound's steps, in half precision: 9 MB an hour with the starter
    model."""

    codes: npt.NDArray[np.float16]
    info: SoundInfo


def hear_sound(
    embedder: Embedder,
    source: Source,
    name: str = "file",
    on_seconds: Callable[[float], None] = lambda _: None,
) -> HeardSound:
    """A sound from a file or its bytes. Raises AudioError, ConfigError."""
    embedder.require_audio()
    reader = SoundReader(source, embedder.front_end.sample_rate, name)
    codes = embedder.encode_sound_steps(embedder.windows(reader), on_seconds)
    return HeardSound(codes, reader.info)
