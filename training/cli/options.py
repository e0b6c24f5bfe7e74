"""Options that several training commands share, and their checks."""

from __future__ import annotations

import argparse
from pathlib import Path

from earmark.model.core.errors import ConfigError

MAX_SEED = 2**31  # repeats count up from the seed
EXIT_STOPPED = 130  # the exit status of a run that stopped on a signal, with its state saved


def check_seed(value: int) -> int:
    """The value of --seed. Raises ConfigError."""
    if not 0 <= value < MAX_SEED:
        raise ConfigError(f"--seed: expected 0 to {MAX_SEED - 1}, got {value}")
    return value


def check_positive(name: str, value: int) -> int:
    """The value of a count. Raises ConfigError under 1."""
    if value < 1:
        raise ConfigError(f"{name}: expected at least 1, got {value}")
    return value


def add_data(command: argparse.ArgumentParser) -> None:
    """Add `--data`, once or several times, for corpora."""
    command.add_argument(
        "--data",
        required=True,
        type=Path,
        action="append",
        metavar="PATH",
        help="a manifest or a data set's folder; repeat for more",
    )


def add_device(command: argparse.ArgumentParser) -> None:
    """Add `--device`."""
    command.add_argument("--device", default="cpu", metavar="D", help="cpu, cuda or cuda:N")


def add_cache(command: argparse.ArgumentParser, help_text: str = "keep features there") -> None:
    """Add `--cache`, the feature cache's folder."""
    command.add_argument("--cache", type=Path, metavar="DIR", help=help_text)


def add_json(command: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    command.add_argument("--json", action="store_true", help="print one JSON object")
