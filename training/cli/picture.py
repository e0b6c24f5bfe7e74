"""`earmark picture`: draws the figures of a model's card, or lists its hard cases."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earmark.training.cli.options import add_cache, add_data, add_device, add_json


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser("picture", help="draw the figures of a model's card")
    command.add_argument("model", type=Path, metavar="MODEL", help="a model's file or folder")
    add_data(command)
    command.add_argument(
        "--out", type=Path, metavar="DIR", help="write PNG files there (default: pictures)"
    )
    command.add_argument(
        "--failures",
        action="store_true",
        help="print the most confident errors as a Markdown table, draw nothing",
    )
    add_device(command)
    add_cache(command)
    add_json(command)
    command.set_defaults(run=_picture)


def _picture(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from earmark.model.core.errors import ConfigError
    from earmark.model.encoders.load import load_embedder
    from earmark.training.corpora.detect import read_corpus
    from earmark.training.features.shards import make_folder
    from earmark.training.figures.figures import check_matplotlib, write_figures
    from earmark.training.figures.hard_cases import find_hard_cases, markdown
    from earmark.training.figures.held_out import embed_held_out

    logging.getLogger("earmark.training").setLevel(logging.INFO)
    if options.failures and options.out is not None:
        raise ConfigError("--failures: draws nothing, so there is nothing for --out")
    out = None
    if not options.failures:
        check_matplotlib()
        out = make_folder(options.out or Path("pictures"))
    embedder = load_embedder(options.model, options.device)
    rows = [row for data in options.data for row in read_corpus(data)]
    held_out = embed_held_out(embedder, rows, options.cache)
    result: dict[str, Any] = {
        "model": {"name": embedder.name, "fingerprint": embedder.fingerprint},
        "clips": len(held_out.rows),
    }
    if out is None:
        cases = find_hard_cases(embedder, held_out)
        result["failures"] = [asdict(case) for case in cases]
        text = markdown(cases)
    else:
        history = _history(options.model, embedder.card)
        if not history:
            print(f"{options.model}: no history of epochs, so no curves.png", file=sys.stderr)
        files = write_figures(embedder, history, held_out, out)
        result["pictures"] = [str(file) for file in files]
        text = "\n".join(result["pictures"])
    print(json.dumps(result) if options.json else text)
    return 0


def _history(model: Path, card: Mapping[str, Any]) -> list[dict[str, float]]:
    """Metrics of each epoch: the whole run's, if its log lies beside the model.

    Else those of the card, which end with the model's epoch.
    """
    from earmark.training.loop.trainer import LOG

    of_card: list[dict[str, float]] = card.get("history") or []
    log = (model if model.is_dir() else model.parent) / LOG
    try:
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        of_log = [{name: row[name] for name in row if name != "epoch"} for row in lines]
    except (OSError, ValueError, TypeError):
        return of_card
    same_run = of_card and of_log[: len(of_card)] == of_card
    return of_log if same_run else of_card
