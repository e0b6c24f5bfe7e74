"""`earmark picture`: the figures of a model's card, and what it gets most confidently wrong."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earmark.training.cli.options import add_data


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser("picture", help="draw the figures of a model's card")
    command.add_argument("model", type=Path, metavar="MODEL", help="a model's file or folder")
    add_data(command)
    command.add_argument(
        "--out", type=Path, metavar="DIR", help="write PNG files there (default: pictures)"
    )
    command.add_argument(
        "--failures", action="store_true", help="print those as a Markdown table, draw nothing"
    )
    command.add_argument("--device", default="cpu", metavar="D", help="cpu, cuda or cuda:N")
    command.add_argument("--cache", type=Path, metavar="DIR", help="keep features there")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=_picture)


def _picture(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from earmark.model.core.errors import ConfigError
    from earmark.model.embedder import Embedder
    from earmark.training.corpora.detect import read_corpus
    from earmark.training.features.shards import made_folder
    from earmark.training.figures.figures import check_can_draw, draw
    from earmark.training.figures.hard_cases import failures, markdown
    from earmark.training.label_noise.held_out import held_out

    logging.getLogger("earmark.training").setLevel(logging.INFO)
    if options.failures and options.out is not None:
        raise ConfigError("--failures: draws nothing, so there is nothing for --out")
    out = None
    if not options.failures:
        check_can_draw()
        out = made_folder(options.out or Path("pictures"))
    embedder = Embedder.load(options.model, options.device)
    rows = [row for data in options.data for row in read_corpus(data)]
    heard = held_out(embedder, rows, options.cache)
    result: dict[str, Any] = {
        "model": {"name": embedder.config.name, "fingerprint": embedder.fingerprint},
        "clips": len(heard.rows),
    }
    if out is None:
        found = failures(embedder, heard)
        result["failures"] = [asdict(each) for each in found]
        said = markdown(found)
    else:
        history = _history(options.model, embedder.card)
        if not history:
            print(f"{options.model}: no history of epochs, so no curves.png", file=sys.stderr)
        files = draw(embedder, history, heard, out)
        result["pictures"] = [str(file) for file in files]
        said = "\n".join(result["pictures"])
    print(json.dumps(result) if options.json else said)
    return 0


def _history(model: Path, card: Mapping[str, Any]) -> list[dict[str, float]]:
    """Figures of each epoch: the whole run's where its log lies beside the model, else those of
    the card, which end with the epoch that was kept.
    """
    from earmark.training.loop.trainer import LOG

    known: list[dict[str, float]] = card.get("history") or []
    log = (model if model.is_dir() else model.parent) / LOG
    try:
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        whole = [{name: row[name] for name in row if name != "epoch"} for row in lines]
    except (OSError, ValueError, TypeError):
        return known
    return whole if known and whole[: len(known)] == known else known  # of another run: not this
