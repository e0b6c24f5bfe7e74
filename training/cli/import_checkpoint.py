"""`earmark import`: makes a model of the authors' checkpoints, or of EfficientAT's."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "import", help="make a model of the authors' checkpoints, or of EfficientAT mn04_as"
    )
    command.add_argument("source", type=Path, metavar="SRC", help="a folder, .npz or .pt file")
    command.add_argument("--out", required=True, type=Path, metavar="DIR")
    command.set_defaults(run=_import)


def _import(options: argparse.Namespace) -> int:
    from earmark.model import checkpoint
    from earmark.training.authors_checkpoint import import_model
    from earmark.training.data.phrases import audioset_classes
    from earmark.training.distillation.bridge import teacher_model
    from earmark.training.distillation.efficientat import read_teacher

    if options.source.suffix == ".pt":
        imported = teacher_model(read_teacher(options.source), audioset_classes())
    else:
        imported = import_model(options.source)
    fingerprint = checkpoint.save(options.out, imported)
    config = imported.model.config
    halves = "sounds and tags" if config.hears else "tags only (the audio half is absent)"
    print(f"{config.name} ({fingerprint}) in {options.out}: embeds {halves}")
    return 0
