"""What the commands of training have in common."""

from __future__ import annotations

import argparse
from pathlib import Path

from earmark.model.core.errors import ConfigError

MAX_SEED = 2**31  # repeats count on from it
STOPPED = 130  # the exit status of a run that was asked to stop, and saved


def check_seed(value: int) -> int:
    """The value of --seed. Raises ConfigError."""
    if not 0 <= value < MAX_SEED:
        raise ConfigError(f"--seed: expected 0 to {MAX_SEED - 1}, got {value}")
    return value


def check_positive(name: str, value: int) -> int:
    """The value of an option that counts. Raises ConfigError."""
    if value < 1:
        raise ConfigError(f"{name}: expected at least 1, got {value}")
    return value


def add_data(command: argparse.ArgumentParser) -> None:
    """Add `--data`, once or several times, to a command that reads corpora."""
    command.add_argument(
        "--data",
        required=True,
        type=Path,
        action="append",
        metavar="PATH",
        help="a manifest or a data set's folder; again for more",
    )
