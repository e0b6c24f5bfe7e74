"""`earmark reproduce`: trains and evaluates a preset on a corpus with folds, a row of Table 1."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from earmark.training.cli.options import (
    EXIT_STOPPED,
    add_cache,
    add_device,
    add_json,
    check_positive,
    check_seed,
)

MFCC = "mfcc"  # the baseline, in place of a preset


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "reproduce", help="train and evaluate a preset on a corpus with folds: a row of Table 1"
    )
    command.add_argument("--preset", required=True, metavar="NAME", help="or mfcc: the baseline")
    command.add_argument(
        "--data", required=True, type=Path, metavar="PATH", help="a corpus with tags and folds"
    )
    command.add_argument(
        "--transfer", type=Path, metavar="PATH", help="a second corpus to classify, with folds"
    )
    command.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="resumes what is there"
    )
    command.add_argument("--epochs", type=int, metavar="N", help="default: the preset's")
    command.add_argument("--batch", type=int, metavar="B", help="default: the preset's")
    command.add_argument("--repeats", type=int, default=10, metavar="N", help="default: 10")
    command.add_argument("--seed", type=int, default=0, metavar="S")
    add_device(command)
    command.add_argument("--precision", metavar="P", help="float32 or bfloat16")
    add_cache(command, "default: the folder features in DIR of --out")
    add_json(command)
    command.set_defaults(run=_reproduce)


def _reproduce(options: argparse.Namespace) -> int:
    from earmark.model.core.errors import ConfigError
    from earmark.training.evaluation import report
    from earmark.training.loop.device import DeviceSettings, keep_freed_memory
    from earmark.training.loop.interrupts import RunInterrupted
    from earmark.training.table1 import Table1Settings, baseline, reproduce

    logging.getLogger("earmark.training").setLevel(logging.INFO)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("earmark reproduce: runs in one process; torchrun is for earmark train")
    device = DeviceSettings(options.device, options.precision)
    device.check()
    keep_freed_memory()
    settings = Table1Settings(
        preset=options.preset,
        data=options.data,
        transfer=options.transfer,
        out=options.out,
        cache=options.cache or options.out / "features",
        epochs=options.epochs,
        batch_size=options.batch,
        repeats=check_positive("--repeats", options.repeats),
        seed=check_seed(options.seed),
    )
    try:
        result = baseline(settings) if options.preset == MFCC else reproduce(settings, device)
    except RunInterrupted as interruption:
        print(f"{interruption}; the same command goes on", file=sys.stderr)
        return EXIT_STOPPED
    result = {
        "task": "reproduce",
        "model": {"name": options.preset, "fingerprint": "one a rotation"},
    } | result
    print(json.dumps(result) if options.json else report.table(result))
    return 0
