"""`earmark train` and `earmark evaluate`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

TASKS = ("retrieval", "zero-shot")


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    train = commands.add_parser("train", help="train a preset on a corpus")
    train.add_argument("--preset", required=True, metavar="NAME")
    train.add_argument("--data", required=True, type=Path, metavar="PATH", help="a manifest")
    train.add_argument("--out", required=True, type=Path, metavar="DIR")
    train.add_argument(
        "--words",
        type=Path,
        metavar="FILE",
        help="general word vectors (default: the starter model's)",
    )
    train.add_argument("--resume", action="store_true", help="go on where DIR's run stopped")
    train.add_argument("--device", default="cpu", metavar="D", help="cpu, cuda or cuda:N")
    train.add_argument("--epochs", type=int, metavar="N")
    train.add_argument("--seed", type=int, default=0, metavar="S")
    train.add_argument("--cache", type=Path, metavar="DIR", help="default: features in DIR of out")
    train.set_defaults(run=_train)
    evaluate = commands.add_parser("evaluate", help="measure a model on a task")
    evaluate.add_argument("task", choices=TASKS)
    evaluate.add_argument("--data", required=True, type=Path, metavar="PATH", help="a manifest")
    evaluate.add_argument("--model", type=Path, metavar="PATH", help="default: starter model")
    evaluate.add_argument("--device", default="cpu", metavar="D", help="cpu, cuda or cuda:N")
    evaluate.add_argument("--cache", type=Path, metavar="DIR", help="keep features there")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    evaluate.set_defaults(run=_evaluate)


def _train(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from model.config import preset
    from model.embedder import select_device
    from model.errors import ConfigError
    from training.corpus import load_corpus
    from training.recipe import recipe
    from training.state import FILE_NAME
    from training.trainer import Trainer

    logging.getLogger("training").setLevel(logging.INFO)
    config, chosen = preset(options.preset), recipe(options.preset)
    select_device(options.device)
    if options.epochs is not None:
        if options.epochs < 1:
            raise ConfigError(f"--epochs: expected at least 1, got {options.epochs}")
        chosen = replace(chosen, epochs=options.epochs)
    if (options.out / FILE_NAME).exists() and not options.resume:
        raise ConfigError(f"--out: {options.out} holds a run; give --resume or another folder")
    cache = options.cache or options.out / "features"
    config, corpus = load_corpus(options.data, config, chosen, cache, options.words, options.seed)
    trainer = Trainer(config, chosen, corpus, options.out, device=options.device, seed=options.seed)
    if options.resume and trainer.resume():
        print(f"resuming after epoch {trainer.epoch}", file=sys.stderr)
    trainer.fit()
    print(f"best model: {options.out}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from model.checkpoint import starter_model
    from model.embedder import Embedder
    from model.manifest import read_manifest
    from training.evaluation import retrieval, zero_shot

    rows = read_manifest(options.data)
    model = options.model or starter_model()
    embedder = Embedder.load(model, options.device)
    if options.task == "zero-shot":
        result = zero_shot.evaluate(embedder, rows, options.data)
    else:
        result = retrieval.evaluate(embedder, rows, options.cache)
    result = {
        "task": options.task,
        "model": {"name": embedder.config.name, "fingerprint": embedder.fingerprint},
        **result,
    }
    if options.json:
        print(json.dumps(result))
    else:
        _print_result(result)
    return 0


def _print_result(result: dict[str, Any]) -> None:
    print(f"{result['task']} with {result['model']['name']} ({result['model']['fingerprint']})")
    for name, value in result["protocol"].items():
        text = json.dumps(value)
        print(f"  {name}: {text if len(text) < 90 else text[:87] + '...'}")
    for name, figure in result["metrics"].items():
        print(f"{name:34} {figure['mean']:8.4f} ± {figure['std']:.4f}")
    for name, value in result.get("per_class", {}).items():
        print(f"  {name:32} {value:8.4f}")
