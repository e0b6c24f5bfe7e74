"""Are all sounds of a folder read whole? `python -m tests.formats DIR`.

Adds the folder to a new library, and prints for each file our length, channels and outcome beside
those of a full decode by PyAV. Fails where ours is more than 50 ms shorter and the clip does not
say that it is damaged. With --quiet, only files that differ are printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
import av.error

from earmark.index.catalogue.records import Clip
from earmark.index.ingest import bulk
from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model

MAX_DIFFERENCE = 0.05  # seconds


@dataclass(frozen=True)
class Decoded:
    """A full decode by PyAV: seconds, channels of the first frame, and how it ended."""

    seconds: float
    channels: int
    outcome: str


def decode_by_pyav(path: Path) -> Decoded:
    """Decode the first audio stream to its end, skipping what is broken."""
    seconds, channels, bad = 0.0, 0, 0
    try:
        with path.open("rb") as file, av.open(file, metadata_errors="replace") as container:
            if not container.streams.audio:
                return Decoded(0.0, 0, "no audio")
            packets = container.demux(container.streams.audio[0])
            while (packet := next(packets, None)) is not None:
                try:
                    for frame in packet.decode():
                        channels = channels or frame.layout.nb_channels
                        seconds += frame.samples / frame.sample_rate
                except (av.error.FFmpegError, ValueError):
                    bad += 1
    except (av.error.FFmpegError, ValueError, OSError) as error:
        return Decoded(seconds, channels, "ended early" if seconds else type(error).__name__)
    return Decoded(seconds, channels, f"{bad} bad packets" if bad else "whole")


def files_of(folder: Path) -> Iterator[Path]:
    """The files that are added with the folder, and those that are passed over."""
    return (path.resolve() for path in sorted(folder.rglob("*")) if path.is_file())


def verdict(clip: Clip, theirs: Decoded) -> str:
    """How a clip's length differs from PyAV's; empty where it does not."""
    difference = clip.duration - theirs.seconds
    if abs(difference) <= MAX_DIFFERENCE:
        return ""
    if clip.damaged:
        return "said as damage"
    return "LONGER" if difference > 0 else "SHORTER"


def main(arguments: Sequence[str]) -> int:
    """Print the table and the counts; 1 where a sound is shorter, and nothing is said."""
    parser = argparse.ArgumentParser(prog="python -m tests.formats", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--quiet", action="store_true", help="only what differs")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        embedder = load_embedder(starter_model())
        with Library.open(Path(temporary) / "library", embedder, create=True) as library:
            report = bulk.add(library, [options.folder])
            clips = {clip.path: clip for clip in library.catalogue.clips()}
    files = list(files_of(options.folder))
    counts: Counter[str] = Counter()
    print(f"{'ours':>9} {'PyAV':>9}  channels  outcome")
    with ProcessPoolExecutor(2) as pool:
        for path, theirs in zip(files, pool.map(decode_by_pyav, files, chunksize=16), strict=True):
            clip, name = clips.get(str(path)), path.relative_to(options.folder.resolve())
            if clip is None:
                kind = "failed" if str(path) in report.failed else "passed over"
                reason = report.failed.get(str(path), kind)
                if theirs.seconds and kind == "failed":
                    kind = "SHORTER"
                ours, channels = 0.0, 0
            else:
                kind = verdict(clip, theirs)
                reason = f"damaged: {clip.damaged:.2f} s skipped" if clip.damaged else "whole"
                ours, channels = clip.duration, clip.channels
            counts[kind or "equal"] += 1
            if not options.quiet or kind:
                print(
                    f"{ours:9.3f} {theirs.seconds:9.3f}  {channels} {theirs.channels}       "
                    f"{reason}; PyAV: {theirs.outcome}; {kind or 'equal'}: {name}"
                )
    print(", ".join(f"{count} {kind}" for kind, count in counts.most_common()))
    return 1 if counts["SHORTER"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
