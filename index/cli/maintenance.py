"""`earmark backup`, `relocate`, `migrate`, `feedback`: maintenance of a library."""

from __future__ import annotations

import argparse
from pathlib import Path

from earmark.index.cli.library import DEFAULT_FOLDER


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    backup = commands.add_parser("backup", help="copy a library, also while it is in use")
    backup.add_argument("to", type=Path, metavar="DIR", help="new folder; open it to restore")
    backup.set_defaults(run=_backup)
    relocate = commands.add_parser("relocate", help="update the paths of sounds that have moved")
    relocate.add_argument("old", type=Path, metavar="OLD", help="their folder before")
    relocate.add_argument("new", type=Path, metavar="NEW", help="their folder now")
    relocate.set_defaults(run=_relocate)
    migrate = commands.add_parser("migrate", help="move a library's vectors to another store")
    migrate.add_argument(
        "to", metavar="STORE", help="faiss, or a Milvus: http://HOST:19530 (or FILE.db, to try it)"
    )
    migrate.set_defaults(run=_migrate)
    feedback = commands.add_parser("feedback", help="export feedback on tags, to train on")
    feedback.add_argument(
        "--out", type=Path, required=True, metavar="CSV", help="the manifest to write"
    )
    feedback.set_defaults(run=_feedback)
    for command in (backup, relocate, migrate, feedback):
        command.add_argument(
            "--library", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="default: library"
        )


def _backup(options: argparse.Namespace) -> int:
    from earmark.index import maintenance

    count = maintenance.back_up(options.library, options.to)
    print(f"{count} clips in {options.to}")
    return 0


def _relocate(options: argparse.Namespace) -> int:
    from earmark.index import maintenance

    count = maintenance.relocate(options.library, options.old, options.new)
    print(f"{count} clips lie under {options.new}")
    return 0


def _feedback(options: argparse.Namespace) -> int:
    from earmark.index import feedback

    count = feedback.export(options.library, options.out)
    print(f"{count} sounds in {options.out}")
    return 0


def _migrate(options: argparse.Namespace) -> int:
    from earmark.index import maintenance

    count = maintenance.migrate(options.library, options.to)
    print(f"the vectors of {count} clips are kept in {options.to}")
    return 0
