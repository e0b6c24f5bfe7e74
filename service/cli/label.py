"""`earmark label`: what is heard in a sound and when, as a table or as a file of labels."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.service.cli.times import clock

if TYPE_CHECKING:
    from earmark.model.embedder import Embedder
    from earmark.model.timeline.steps import HeardSound
    from earmark.model.timeline.timeline import Timeline

FORMAT_NAMES = ("json", "csv", "audacity", "raven")  # as in `label_files.FORMATS`, slow to import


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    label = commands.add_parser("label", help="say what is heard in a file, and when")
    label.add_argument("file", type=Path, metavar="FILE")
    which = label.add_mutually_exclusive_group()
    which.add_argument("--tags", action="append", metavar="X,Y", help="in any words")
    which.add_argument(
        "--suggested", action="store_true", help="tags that the sound makes probable (default)"
    )
    label.add_argument(
        "--format", choices=FORMAT_NAMES, help="of the labels; without it, a table for people"
    )
    label.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="OUT",
        help="file to write; .json, .csv, .txt (audacity) and .selections.txt (raven) say the "
        "format",
    )
    label.add_argument("--force", action="store_true", help="overwrite OUT")
    label.add_argument("--model", type=Path, metavar="PATH", help="default: starter model")
    label.set_defaults(run=_label)


def _label(options: argparse.Namespace) -> int:
    from earmark.model import zero_shot
    from earmark.model.core.atomic_write import write_whole
    from earmark.model.core.errors import EarmarkError
    from earmark.model.encoders.load import load_embedder
    from earmark.model.timeline.label_files import FORMATS
    from earmark.model.timeline.timeline import make_timeline

    kind, out = _format_and_file(options)
    embedder = load_embedder(options.model)
    labels = None
    if options.tags is not None:
        texts = [tag for entry in options.tags for tag in entry.split(",")]
        prompts = zero_shot.plain_prompts(texts)
        zero_shot.check_prompts(prompts, min_labels=1, name="--tags")
        labels = zero_shot.embed_labels(embedder, prompts, name="--tags")
    timeline = make_timeline(embedder, _hear(embedder, options.file), labels)
    if kind is None:
        _print_table(timeline)
        return 0
    text = FORMATS[kind].write(timeline)
    if out is None:
        sys.stdout.write(text)
        return 0
    try:
        write_whole(out, [text.encode()])
    except OSError as error:
        raise EarmarkError(f"{out}: cannot be written ({error.strerror})") from error
    print(f"{out}: {sum(len(lane.events) for lane in timeline.tags)} events")
    return 0


def _format_and_file(options: argparse.Namespace) -> tuple[str | None, Path | None]:
    """The format, None for a table, and the file to write if any. Raises InputError."""
    from earmark.model.core.errors import InputError
    from earmark.model.timeline.label_files import FORMATS

    kind, out = options.format, options.out
    if out is None:
        return kind, None
    ends = {form.name_end + form.suffix: name for name, form in FORMATS.items()}
    longest_first = sorted(ends, key=len, reverse=True)
    end = next((end for end in longest_first if out.name.lower().endswith(end)), None)
    kind = kind or ends.get(end or "")
    if kind is None:
        raise InputError(f"-o: expected {', '.join(ends)} or a --format, got {out.name!r}")
    if out.exists() and not options.force:
        raise InputError(f"{out}: is there already; --force overwrites it")
    return kind, out


def _hear(embedder: Embedder, file: Path) -> HeardSound:
    """The sound, with progress."""
    from earmark.model.core.progress import progress
    from earmark.model.timeline.steps import hear_sound

    with progress("hearing", 0, "s") as bar:  # the length is known only at the end
        total = 0

        def step(seconds: float) -> None:
            nonlocal total
            bar.step(int(seconds) - total)
            total = int(seconds)

        return hear_sound(embedder, file, str(file), step)


def _print_table(timeline: Timeline) -> None:
    rows = sorted(
        (event.start, event.end, lane.tag, event.score)
        for lane in timeline.tags
        for event in lane.events
    )
    for start, end, tag, score in rows:
        print(f"{clock(start, 1):>10} – {clock(end, 1):<10}  {score:6.1%}  {tag}")
    if not rows:
        print("none of these tags is heard" if timeline.tags else "no tag is heard")
    if timeline.ignored:
        print(f"not used: {' '.join(timeline.ignored)}")
    for note in timeline.notes:
        print(f"note: {note}")
