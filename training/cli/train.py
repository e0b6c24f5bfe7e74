"""`earmark train`: trains a preset on a corpus."""

from __future__ import annotations

import argparse
import logging
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.training.cli.options import STOPPED, add_data, check_seed

if TYPE_CHECKING:
    from earmark.model.checkpoint import Checkpoint
    from earmark.training.loop.distributed import Ranks


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    train = commands.add_parser("train", help="train a preset on a corpus")
    train.add_argument("--preset", required=True, metavar="NAME")
    add_data(train)
    train.add_argument(
        "--from", dest="start", type=Path, metavar="PATH", help="begin with this model: fine-tuning"
    )
    train.add_argument(
        "--teacher", type=Path, metavar="FILE", help="learn from aiSFX too: its wheel (starter)"
    )
    train.add_argument("--out", required=True, type=Path, metavar="DIR")
    train.add_argument(
        "--words",
        type=Path,
        metavar="FILE",
        help="general word vectors (default: the starter model's)",
    )
    train.add_argument("--resume", action="store_true", help="go on where DIR's run stopped")
    train.add_argument("--device", default="cpu", metavar="D", help="cpu, cuda or cuda:N")
    train.add_argument(
        "--precision", metavar="P", help="float32 or bfloat16 (default: bfloat16 on a GPU)"
    )
    train.add_argument("--compile", action="store_true", help="have torch compile the step")
    train.add_argument("--tensorboard", action="store_true", help="write event files in DIR")
    train.add_argument("--epochs", type=int, metavar="N", help="default: the preset's")
    train.add_argument("--batch", type=int, metavar="B", help="default: the preset's")
    train.add_argument("--seed", type=int, default=0, metavar="S")
    train.add_argument("--cache", type=Path, metavar="DIR", help="default: features in DIR of out")
    train.add_argument("--without-fold", metavar="F", help="leave this fold out, to test on")
    train.add_argument(
        "--without-suspects",
        type=Path,
        metavar="CSV",
        help="leave out tags that `earmark corpus suspects` found wrong",
    )
    train.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    from earmark.training.loop.distributed import joined, leave
    from earmark.training.loop.interrupts import Stopped

    logging.getLogger("earmark.training").setLevel(logging.INFO)
    status = 0
    with joined(options.device) as (ranks, device):
        try:
            _train_as(ranks, device, options)
        except Stopped as stopped:
            if ranks.first:
                print(f"{stopped}; --resume goes on", file=sys.stderr)
            status = STOPPED
    if ranks.count > 1:
        leave(status)
    return status


def _start(options: argparse.Namespace) -> Checkpoint | None:
    """The model to begin with. Raises ConfigError, CheckpointError."""
    from earmark.model import checkpoint
    from earmark.model.core.errors import ConfigError

    if options.start is None:
        return None
    if options.words is not None or options.teacher is not None:
        raise ConfigError("--from: the model brings its words, and needs no teacher")
    return checkpoint.load(options.start)


def _train_as(ranks: Ranks, device: str, options: argparse.Namespace) -> None:
    """Train as one of the processes."""
    from earmark.model.config import preset
    from earmark.model.core.errors import ConfigError
    from earmark.training.data.corpus import load_corpus
    from earmark.training.loop.device import Execution, keep_freed_memory
    from earmark.training.loop.initialization import learn_from
    from earmark.training.loop.resume_state import FILE_NAME
    from earmark.training.loop.tensorboard import Board
    from earmark.training.loop.trainer import Trainer
    from earmark.training.recipe import recipe

    check_seed(options.seed)
    config = preset(options.preset)
    start, chosen = _start(options), recipe(options.preset)
    chosen = chosen if start is None else chosen.fine_tuned()
    chosen = chosen.changed(epochs=options.epochs, batch_size=options.batch)
    execution = Execution(device, options.precision, options.compile, ranks)
    execution.check()
    if (options.out / FILE_NAME).exists() and not options.resume:
        raise ConfigError(f"--out: {options.out} holds a run; give --resume or another folder")
    keep_freed_memory()
    cache = options.cache or options.out / "features"
    with ranks.first_alone():
        config, corpus = load_corpus(
            options.data,
            config,
            chosen,
            cache,
            options.words or options.start,
            options.seed,
            without_fold=options.without_fold,
            suspects=options.without_suspects,
        )
        if options.teacher is not None:
            learn_from(options.teacher, corpus, chosen, cache, mixed=execution.mixed)
    ranks.check_same("corpus", corpus.digest())
    trainer = Trainer(
        config,
        chosen,
        corpus,
        options.out,
        seed=options.seed,
        execution=execution,
        start=start,
    )
    resumed = options.resume and trainer.resume()
    # Without a shared folder, some would go on and some begin.
    ranks.check_same("run", f"{trainer.epoch} {trainer.step} {trainer.best}".encode())
    if resumed and ranks.first:
        print(f"resuming after epoch {trainer.epoch}, step {trainer.step}", file=sys.stderr)
    with ExitStack() as stack:
        if options.tensorboard and ranks.first:
            board = Board(options.out / "tensorboard", trainer.epoch)
            trainer.board = stack.enter_context(closing(board))
        trainer.fit()
    if ranks.first:
        print(f"best model: {options.out}")
