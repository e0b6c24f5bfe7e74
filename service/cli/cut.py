"""`earmark cut`: a stretch of a sound as a file of its own."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from earmark.model.core.errors import EarmarkError, InputError
from earmark.service.cli.times import seconds_of

if TYPE_CHECKING:
    from earmark.model.audio.cut import Cut, Kind
    from earmark.model.audio.decode import SoundReader
    from earmark.model.audio.stretch import Stretch
    from earmark.model.core.progress import Progress

KINDS: dict[str, Kind] = {".wav": "wav", ".flac": "flac"}  # by suffix
STEM_BYTES = 180  # of the sound's name in that of the new file, so that the times have room
SKIPPING = "decoding what lies before"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    cut = commands.add_parser("cut", help="cut a stretch out of a sound, sample by sample")
    cut.add_argument("file", type=Path, metavar="FILE")
    for name in ("start", "end"):
        cut.add_argument(name, type=seconds_of, metavar=name.upper(), help="seconds, m:s or h:m:s")
    cut.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="OUT",
        help="a .wav or .flac; default: `NAME START-END s.wav` in this folder",
    )
    cut.add_argument("--force", action="store_true", help="overwrite OUT")
    cut.set_defaults(run=_cut)


def _cut(options: argparse.Namespace) -> int:
    from earmark.model.audio.cut import Cut
    from earmark.model.audio.decode import SoundReader
    from earmark.model.audio.stretch import Stretch
    from earmark.model.core.atomic_write import whole_file
    from earmark.model.core.progress import progress

    stretch = Stretch(options.file, options.start, options.end)
    out: Path = options.out or _default_name(options.file, options.start, options.end)
    kind = KINDS.get(out.suffix.lower())
    if kind is None:
        raise InputError(f"-o: expected a name that ends in .wav or .flac, got {out.name!r}")
    try:
        _check_free(out, options.force)
        with progress("cutting", 0, "s") as bar, whole_file(out) as written:
            skipping = partial(bar.step, 0, SKIPPING)
            reader = SoundReader(stretch, 0, str(options.file), on_skip=skipping)
            cut = Cut(reader, kind, is_within=False)
            _write(cut, written, reader, bar)
            name = out
            if options.out is None:  # the sound may end before END
                name = _default_name(options.file, options.start, _end(stretch, cut, reader))
            if name != out:
                _check_free(name, options.force)
        out.replace(name)
    except OSError as error:
        raise EarmarkError(f"{out}: cannot be written ({error.strerror})") from error
    rate = reader.info.sample_rate
    print(f"{name}: {cut.frames / rate:.3f} s at {rate} Hz")
    return 0


def _default_name(file: Path, start: float, end: float) -> Path:
    """The name of a stretch from `start` to `end`, in seconds."""
    stem = os.fsencode(file.stem)
    short = file.stem if len(stem) <= STEM_BYTES else stem[:STEM_BYTES].decode(errors="ignore")
    return Path(f"{short} {round(start, 3)}-{round(end, 3)} s.wav")


def _check_free(path: Path, is_overwritten: bool) -> None:
    if path.exists() and not is_overwritten:
        raise InputError(f"{path}: is there already; --force overwrites it")


def _write(cut: Cut, out: BinaryIO, reader: SoundReader, bar: Progress) -> None:
    """The file, with its head as it is known at the end."""
    seconds = 0
    for piece in cut.pieces():
        out.write(piece)
        whole = cut.frames // reader.info.sample_rate
        bar.step(whole - seconds, "")
        seconds = whole
    out.seek(0)
    out.write(cut.head())


def _end(stretch: Stretch, cut: Cut, reader: SoundReader) -> float:
    """Where the stretch ends in truth, in seconds."""
    rate = reader.info.sample_rate
    first, last = stretch.frames(rate)
    return stretch.end if first + cut.frames >= last else (first + cut.frames) / rate
