"""`earmark backup`, `relocate`, `prune`, `measure`, `migrate`, `feedback`: maintenance of a
library."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.index.cli.library import DEFAULT_FOLDER, printable

if TYPE_CHECKING:
    from earmark.index.files.missing import MissingSound

LISTED = 20  # missing sounds, at most


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    backup = commands.add_parser("backup", help="copy a library, also while it is in use")
    backup.add_argument("to", type=Path, metavar="DIR", help="new folder; open it to restore")
    backup.set_defaults(run=_backup)
    relocate = commands.add_parser("relocate", help="update the paths of sounds that have moved")
    relocate.add_argument("old", metavar="OLD", help="their folder before, or its address")
    relocate.add_argument("new", metavar="NEW", help="their folder now, or its address")
    relocate.set_defaults(run=_relocate)
    prune = commands.add_parser("prune", help="remove sounds whose files are gone, after asking")
    prune.add_argument(
        "--yes", action="store_true", help="do not ask, except where a whole folder is missing"
    )
    prune.set_defaults(run=_prune)
    measure = commands.add_parser(
        "measure", help="measure the loudness of sounds that were added before it was"
    )
    measure.add_argument("--json", action="store_true", help="print the result as JSON")
    measure.set_defaults(run=_measure)
    migrate = commands.add_parser("migrate", help="move a library's vectors to another store")
    migrate.add_argument(
        "to", metavar="STORE", help="faiss, or a Milvus: http://HOST:19530 (or FILE.db, to try it)"
    )
    migrate.set_defaults(run=_migrate)
    feedback = commands.add_parser("feedback", help="export feedback on tags, to train on")
    feedback.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="the manifest to write: .csv, .jsonl or .parquet",
    )
    feedback.set_defaults(run=_feedback)
    for command in (backup, relocate, prune, measure, migrate, feedback):
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
    from earmark.model.cloud.cloud_file import named_file

    old, new = named_file(options.old), named_file(options.new)
    count = maintenance.relocate(options.library, old, new)
    print(f"{count} clips lie under {options.new}")
    return 0


def _prune(options: argparse.Namespace) -> int:
    from earmark.index.catalogue.catalogue import Catalogue
    from earmark.index.files import missing
    from earmark.index.files.paths import real_folder
    from earmark.index.files.relocation import update_upload_paths
    from earmark.index.library import UPLOADS

    with closing(Catalogue.open(options.library)) as catalogue:
        update_upload_paths(catalogue, real_folder(options.library / UPLOADS))
        found = missing.find_prunable(catalogue)
        removed, kept = 0, []
        if found.files:
            print(f"{_count(found.files)} without a file:")
            _list(found.files)
            if options.yes or _agrees(len(found.files)):
                removed += missing.remove_missing(catalogue, found.files)
        for folder, sounds in found.folders.items():
            print(f"{_count(sounds)} from {folder}: none is left there. Is a disk not mounted?")
            _list(sounds)
            if not options.yes and _agrees(len(sounds)):
                removed += missing.remove_missing(catalogue, sounds)
                continue
            kept.append(folder)
            if options.yes:
                print(f"kept those from {folder}: without --yes, prune asks", file=sys.stderr)
        forgotten = missing.forget_failures(catalogue, kept)
        count = catalogue.count()
        print(f"removed {removed:,}, forgot {forgotten:,} failed files; {count:,} clips left")
    return 0


def _count(sounds: Sequence[MissingSound]) -> str:
    return f"{len(sounds):,} {'sound' if len(sounds) == 1 else 'sounds'}"


def _list(sounds: Sequence[MissingSound]) -> None:
    for sound in sounds[:LISTED]:
        print(f"  {sound.path} ({sound.id})")
    if len(sounds) > LISTED:
        print(f"  and {len(sounds) - LISTED:,} more")


def _agrees(count: int) -> bool:
    """Whether the user wants to remove clips; nobody there to answer does not."""
    what = "it, with its" if count == 1 else f"these {count:,}, with their"
    try:
        answer = input(f"Remove {what} tags and feedback? [y/N] ")
    except EOFError:
        print()
        return False
    return answer.strip().lower() in ("y", "yes")


def _measure(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from earmark.index.catalogue.catalogue import Catalogue
    from earmark.index.files.paths import real_folder
    from earmark.index.files.relocation import update_upload_paths
    from earmark.index.ingest.loudness import measure
    from earmark.index.library import UPLOADS

    with closing(Catalogue.open(options.library)) as catalogue:
        update_upload_paths(catalogue, real_folder(options.library / UPLOADS))
        report = measure(catalogue)
    for reason in report.failed.values():
        print(f"skipped: {printable(reason)}", file=sys.stderr)
    if options.json:
        print(json.dumps(asdict(report)))
    else:
        print(f"measured {report.measured:,}, {report.without:,} have no loudness, "
              f"skipped {len(report.failed):,}")  # fmt: skip
    return 1 if report.failed else 0


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
