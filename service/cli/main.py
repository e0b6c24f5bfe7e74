"""The `earmark` command: one parser for the commands of all packages.

Results go to standard output, messages and progress bars to standard error. Exit status: 0 done,
1 failed work, 2 bad input (one line), 130 interrupted. Heavy imports wait until a command runs.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from earmark.index.cli import library as index_cli
from earmark.index.cli import maintenance, teach, write_tags
from earmark.index.cli import review as index_review
from earmark.model.core.errors import EarmarkError, InputError
from earmark.service.cli import collection, cut, export, keys, label, mcp, query, serve


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print the error in one line."""
        self.exit(2, f"{self.prog}: {message}\n")


class _PrintVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Look the version up when it is asked for: the package's metadata is slow to read."""
        from importlib.metadata import version

        print(f"{parser.prog} {version('earmark')}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    # Imported here: the one place where the service knows training.
    from earmark.training.cli import commands as training_commands

    parser: argparse.ArgumentParser = _Parser(
        prog="earmark", description="Find sounds with words and words for sounds."
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve.add_commands(commands)
    keys.add_commands(commands)
    mcp.add_commands(commands)
    index_cli.add_commands(commands)
    maintenance.add_commands(commands)
    write_tags.add_commands(commands)
    index_review.add_commands(commands)
    teach.add_commands(commands)
    query.add_commands(commands)
    collection.add_commands(commands)
    cut.add_commands(commands)
    label.add_commands(commands)
    export.add_commands(commands)
    training_commands.add_commands(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for terminals that lack a character
    options = build_parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except InputError as error:
        print(f"earmark {options.command}: {error}", file=sys.stderr)
        return 2
    except EarmarkError as error:
        print(f"earmark {options.command}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        print(f"earmark {options.command}: needs torch, which is not installed", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"earmark {options.command}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader of the output has closed it (`earmark search … | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return status


if __name__ == "__main__":
    sys.exit(main())
