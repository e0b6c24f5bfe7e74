"""`earmark import`: makes a model of the authors' checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser("import", help="make a model of the authors' checkpoints")
    command.add_argument("source", type=Path, metavar="SRC", help="a folder or .npz file")
    command.add_argument("--out", required=True, type=Path, metavar="DIR")
    command.set_defaults(run=_import)


def _import(options: argparse.Namespace) -> int:
    from earmark.model import checkpoint
    from earmark.training.authors_checkpoint import import_model

    imported = import_model(options.source)
    fingerprint = checkpoint.save(options.out, imported)
    config = imported.model.config
    halves = "sounds and tags" if config.hears else "tags only (the audio half is absent)"
    print(f"{config.name} ({fingerprint}) in {options.out}: embeds {halves}")
    return 0
