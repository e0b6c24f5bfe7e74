"""The commands of training: adds each to the parser of `earmark`."""

from __future__ import annotations

import argparse

from earmark.training.cli import (
    calibrate,
    corpus,
    evaluate,
    import_checkpoint,
    picture,
    reproduce,
    train,
)


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add all commands to the parser."""
    train.add_command(commands)
    reproduce.add_command(commands)
    import_checkpoint.add_command(commands)
    evaluate.add_command(commands)
    calibrate.add_command(commands)
    corpus.add_command(commands)
    picture.add_command(commands)
