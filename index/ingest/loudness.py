"""Measures the loudness of sounds that the library got before it was measured when they are added.

Sounds are written as they are measured: an interrupted run goes on where it was. Silence has no
loudness, and is looked at again by the next run.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.records import HeldSound
from earmark.model.cloud.cloud_file import stored_file
from earmark.model.core.errors import AudioError
from earmark.model.core.progress import progress
from earmark.model.inference.decode_pool import DecodePool

BATCH = 64  # sounds written in one transaction


@dataclass
class MeasureReport:
    """The result of measuring; also the JSON output of `earmark measure`.

    `without`: how many have no loudness (`model.audio.loudness`). `failed`: path → reason.
    """

    measured: int = 0
    without: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def measure(catalogue: Catalogue) -> MeasureReport:
    """Measure all sounds whose loudness is not known. Raises StorageError."""
    report, count = MeasureReport(), os.cpu_count() or 1
    sounds = catalogue.unmeasured_sounds()
    with (
        DecodePool(None, count) as decoders,
        ThreadPoolExecutor(count) as threads,
        progress("measuring", len(sounds), "sounds") as bar,
    ):
        for start in range(0, len(sounds), BATCH):
            batch = sounds[start : start + BATCH]
            try:
                found = list(threads.map(lambda sound: _measure(decoders, sound), batch))
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise
            _write(catalogue, batch, found, report)
            bar.step(len(batch))
    return report


def _write(
    catalogue: Catalogue,
    batch: Sequence[HeldSound],
    found: Sequence[float | str | None],
    report: MeasureReport,
) -> None:
    """Write what `_measure` found of a batch."""
    with catalogue.write() as writer:
        for sound, loudness in zip(batch, found, strict=True):
            if isinstance(loudness, str):
                report.failed[sound.path] = loudness
            elif loudness is None:
                report.without += 1
            else:
                writer.set_loudness(sound, loudness)
                report.measured += 1


def _measure(decoders: DecodePool, sound: HeldSound) -> float | str | None:
    """The loudness of a sound, None where it has none, or why it cannot be measured."""
    path = stored_file(sound.path)
    try:
        state = path.stat()
    except OSError as error:
        return f"{path.name}: {error.strerror}"
    if (state.st_size, state.st_mtime_ns) != (sound.size, sound.mtime_ns):
        return f"{path.name}: changed since it was added: add it again"
    try:
        return decoders.measure(path, path.name).info.loudness
    except AudioError as error:
        return str(error)
