"""Options of commands that choose clips by a filter."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earmark.index.types import Filter

# Options that may be repeated: of the clips that have one of the values. `--tag`: all of them.
NAMES = {
    "tag": "only clips with this tag",
    "licence": "only clips with this licence",
    "source": "only clips with this source",
    "category": "only clips with this CatID of the Universal Category System",
    "collection": "only clips in this collection, by its id",
    "classifier": "only clips that this taught sound is heard in, by its id",
}
NUMBERS = {"sample-rate": "Hz", "channels": "number of channels"}
BOUNDS = {
    "min-duration": ("S", "seconds"),
    "max-duration": ("S", "seconds"),
    "min-loudness": ("L", "LUFS"),
    "max-loudness": ("L", "LUFS"),
}
DATES = {
    "added-after": "only clips added in this year, month or day, or later: 2026, 2026-11-30",
    "added-before": "only clips added before this year, month or day",
}


def add_filters(command: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    for name, text in NAMES.items():
        command.add_argument(f"--{name}", action="append", default=[], metavar="X", help=text)
    for name, text in NUMBERS.items():
        command.add_argument(
            f"--{name}", action="append", type=int, default=[], metavar="N", help=text
        )
    for name, (letter, unit) in BOUNDS.items():
        command.add_argument(f"--{name}", type=float, metavar=letter, help=unit)
    for name, text in DATES.items():
        command.add_argument(f"--{name}", default="", metavar="DATE", help=text)


def filter_of(options: argparse.Namespace) -> Filter:
    """The filter that the options ask for. Raises FilterError."""
    from earmark.index.types import Filter

    return Filter(
        all_tags=tuple(options.tag),
        licences=tuple(options.licence),
        sources=tuple(options.source),
        categories=tuple(options.category),
        collections=tuple(options.collection),
        classifiers=tuple(options.classifier),
        sample_rates=tuple(options.sample_rate),
        channels=tuple(options.channels),
        min_duration=options.min_duration,
        max_duration=options.max_duration,
        min_loudness=options.min_loudness,
        max_loudness=options.max_loudness,
        added_after=options.added_after,
        added_before=options.added_before,
    )
