"""`earmark cut`: a stretch of a sound as a file of its own."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from earmark.model.core.errors import EarmarkError, InputError
from earmark.service.cli.times import seconds_of

if TYPE_CHECKING:
    from earmark.model.audio.cut import Kind

KINDS: dict[str, Kind] = {".wav": "wav", ".flac": "flac"}  # by suffix


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

    file: Path = options.file
    stretch = Stretch(file, options.start, options.end)
    times = f"{round(options.start, 3)}-{round(options.end, 3)} s"
    out: Path = options.out or Path(f"{file.stem} {times}.wav")
    kind = KINDS.get(out.suffix.lower())
    if kind is None:
        raise InputError(f"-o: expected a name that ends in .wav or .flac, got {out.name!r}")
    if out.exists() and not options.force:
        raise InputError(f"{out}: is there already; --force overwrites it")
    reader = SoundReader(stretch, 0, file.name)
    cut = Cut(reader, kind, is_within=False)
    with _written(out) as written:
        for piece in cut.pieces():
            written.write(piece)
        written.seek(0)
        written.write(cut.head())
    info = reader.info
    print(f"{out}: {cut.frames / info.sample_rate:.3f} s at {info.sample_rate} Hz")
    return 0


@contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """A new file that gets its name once it is whole. Raises EarmarkError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        raise EarmarkError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)
