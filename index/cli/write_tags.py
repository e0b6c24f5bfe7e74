"""`earmark write-tags`: what the library says of its sounds, back into their files."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.index.cli.library import DEFAULT_FOLDER, printable

if TYPE_CHECKING:
    from earmark.index.curation.write_tags import WriteReport


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "write-tags", help="write titles, tags, authors and licences into the sounds' files"
    )
    command.add_argument("--dry-run", action="store_true", help="write nothing, show what would be")
    command.add_argument(
        "--copies", type=Path, metavar="DIR", help="write tagged copies there, not the files"
    )
    command.add_argument(
        "--overwrite", action="store_true", help="also where a file says something else"
    )
    command.add_argument("--json", action="store_true", help="print the result as JSON")
    command.add_argument(
        "--library", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="default: library"
    )
    command.set_defaults(run=_write_tags)


def _write_tags(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from earmark.index.catalogue.catalogue import Catalogue
    from earmark.index.curation.write_tags import Orders, write_tags
    from earmark.index.files.paths import real_folder
    from earmark.index.files.relocation import update_upload_paths
    from earmark.index.library import UPLOADS

    orders = Orders(options.overwrite, options.dry_run, options.copies)
    with closing(Catalogue.open(options.library)) as catalogue:
        update_upload_paths(catalogue, real_folder(options.library / UPLOADS))
        report = write_tags(catalogue, orders)
    if options.json:
        print(json.dumps(asdict(report)))
    else:
        _print_report(report, dry_run=options.dry_run)
    return 1 if report.failed else 0


def _print_report(report: WriteReport, *, dry_run: bool) -> None:
    if dry_run:
        for path, fields in sorted(report.written.items()):
            print(printable(path))
            for name, value in fields.items():
                text = " ".join(value) if isinstance(value, list) else value
                print(f"  {name}: {printable(text)}")
    for path, names in report.kept.items():
        print(f"kept: {printable(path)}: {', '.join(names)}", file=sys.stderr)
    for kind, reasons in (("skipped", report.skipped), ("failed", report.failed)):
        for path, reason in reasons.items():
            print(f"{kind}: {printable(path)}: {printable(reason)}", file=sys.stderr)
    print(
        f"{'would write' if dry_run else 'wrote'} {len(report.written):,}, "
        f"unchanged {report.unchanged:,}, skipped {len(report.skipped):,}, "
        f"failed {len(report.failed):,}"
    )
