"""`earmark collection`: the collections of a library on the command line."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earmark.index.curation.handover import Handover
    from earmark.index.library import Library

ENDINGS = (".zip", ".csv", ".parquet")
DEFAULT_FOLDER = Path("library")


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    collection = commands.add_parser("collection", help="list, make and hand over collections")
    actions = collection.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="list the collections")
    create = actions.add_parser("create", help="make a collection of clips")
    create.add_argument("name", metavar="NAME")
    create.add_argument("clips", nargs="*", metavar="ID", help="of clips, in their order")
    export = actions.add_parser("export", help="write a collection to a file")
    export.add_argument("collection", metavar="COLLECTION", help="its id, such as favourites")
    export.add_argument(
        "out",
        type=Path,
        metavar="FILE",
        help="FILE.zip: its sounds, who made them, a manifest; FILE.csv, FILE.parquet: a table",
    )
    for command, run in ((listed, _list), (create, _create), (export, _export)):
        command.add_argument(
            "--library", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="default: library"
        )
        command.add_argument("--model", type=Path, metavar="PATH", help="default: starter model")
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.set_defaults(run=run)


def _open(options: argparse.Namespace) -> Library:
    from earmark.index.library import Library
    from earmark.model.encoders.load import load_embedder

    return Library.open(options.library, load_embedder(options.model))


def _list(options: argparse.Namespace) -> int:
    from earmark.index.catalogue.collections import collections
    from earmark.index.curation.collections import rows_of

    with _open(options) as library:
        counts = [(one, len(rows_of(library, one))) for one in collections(library.catalogue)]
    if options.json:
        found = [
            {"id": one.id, "name": one.name, "clips": count, "follows": one.follows is not None}
            for one, count in counts
        ]
        print(json.dumps({"collections": found}))
        return 0
    width = max(len(one.id) for one, _ in counts)
    for one, count in counts:
        follows = "  follows a search" if one.follows is not None else ""
        print(f"{one.id:{width}}  {count:7,}  {one.name}{follows}")
    return 0


def _create(options: argparse.Namespace) -> int:
    from earmark.index.curation.collections import create

    with _open(options) as library:
        made = create(library, options.name, clip_ids=options.clips)
    if options.json:
        print(json.dumps({"id": made.id, "name": made.name, "clips": made.clips}))
    else:
        print(f"made {made.id}: {made.clips} clips")
    return 0


def _export(options: argparse.Namespace) -> int:
    from earmark.index.curation.handover import Handover
    from earmark.model.core.errors import InputError

    if options.out.suffix.lower() not in ENDINGS:
        raise InputError(
            f"FILE: expected a name that ends in {', '.join(ENDINGS)}, got {options.out.name!r}"
        )
    with _open(options) as library:
        found = Handover.of(library, options.collection)
        missing = _write(found, options.out)
    if options.json:
        print(json.dumps({"file": str(options.out), "clips": len(found.clips), "missing": missing}))
    else:
        print(f"wrote {len(found.clips) - missing:,} clips to {options.out}")
        if missing:
            print(f"missing files: {missing:,}; MISSING.txt names them", file=sys.stderr)
    return 1 if missing else 0


def _write(found: Handover, out: Path) -> int:
    """Write the file, whole or not at all. Returns how many sounds are missing in it."""
    from earmark.index.errors import StorageError
    from earmark.index.files.stored_zip import StoredZip
    from earmark.model.core.atomic_write import write_whole

    missing, kind = 0, out.suffix.lower()
    try:
        if kind == ".zip":
            members = found.zip_members()
            missing = len(found.clips) - sum(not isinstance(one.content, bytes) for one in members)
            write_whole(out, StoredZip(members, {}).read())
        else:
            write_whole(out, [found.parquet() if kind == ".parquet" else found.csv().encode()])
    except OSError as error:
        raise StorageError(f"FILE: {out}: {error.strerror}") from error
    return missing
