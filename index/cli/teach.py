"""`earmark teach`: sounds that people teach, on the command line."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.index.cli.library import DEFAULT_FOLDER

if TYPE_CHECKING:
    from earmark.index.catalogue.classifiers import Classifier
    from earmark.index.library import Library

MAX_FILE = 2_000_000  # bytes of an exported classifier
ASKED = 5


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    teach = commands.add_parser(
        "teach", help="teach a sound by saying what is it and what is not; without a name: list"
    )
    teach.add_argument("name", nargs="?", default="", help="its name or id; a new name begins one")
    for option, destination, text in (
        ("--is", "right", "clips that are the sound, by id"),
        ("--is-not", "wrong", "clips that are not"),
    ):
        teach.add_argument(option, dest=destination, nargs="+", default=[], metavar="ID", help=text)
    files = teach.add_mutually_exclusive_group()
    files.add_argument("--export", type=Path, metavar="FILE", help="for another library")
    files.add_argument(
        "--import",
        dest="exported",
        type=Path,
        metavar="FILE",
        help="from another library of the same model, under the name that is given or its own",
    )
    teach.add_argument("--library", type=Path, default=DEFAULT_FOLDER, metavar="DIR",
                       help="default: library")  # fmt: skip
    teach.add_argument("--model", type=Path, metavar="PATH", help="default: starter model")
    teach.add_argument("--json", action="store_true", help="print one JSON object")
    teach.set_defaults(run=_teach)


def _teach(options: argparse.Namespace) -> int:
    from earmark.index.catalogue.classifiers import classifiers
    from earmark.index.curation import classifiers as taught
    from earmark.index.errors import LibraryError
    from earmark.index.library import Library
    from earmark.model.encoders.load import load_embedder

    labels = [(clip, True) for clip in options.right] + [(clip, False) for clip in options.wrong]
    if not options.name and (labels or options.export):
        raise LibraryError("name: expected one of a sound to teach, got none")
    with Library.open(options.library, load_embedder(options.model)) as library:
        if options.exported:
            found = taught.take_in(library, _read(options.exported), options.name or None)
        elif options.name:
            found = _named(library, options.name)
        else:
            _print(classifiers(library.catalogue), as_json=options.json)
            return 0
        if labels:
            given = [taught.NewLabel(clip, right) for clip, right in labels]
            found = taught.label(library, found.id, given)
        if options.export:
            _write(options.export, taught.to_export(found))
        asked = [] if found.fitted is None else taught.ask(library, found.id, ASKED, 0)
    _print([found], as_json=options.json)
    if asked and not options.json:
        print("say of these next whether they are it:")
        for hit in asked:
            print(f"  {hit.probability or 0:4.0%}  {hit.clip.id}  {hit.clip.title}")
    return 0


def _named(library: Library, name: str) -> Classifier:
    """The classifier with this name or id, made where there is none."""
    from earmark.index.catalogue.classifiers import classifiers
    from earmark.index.curation.classifiers import create
    from earmark.model.text.text_key import text_key

    for found in classifiers(library.catalogue):
        if found.id == name or text_key(found.name) == text_key(name):
            return found
    return create(library, name)


def _write(file: Path, exported: dict[str, Any]) -> None:
    """Write a file, whole or not at all. Raises StorageError."""
    from earmark.index.errors import StorageError
    from earmark.model.core.atomic_write import write_whole

    try:
        write_whole(file, [json.dumps(exported).encode()])
    except OSError as error:
        raise StorageError(f"export: {file}: {error.strerror}") from error


def _read(file: Path) -> dict[str, Any]:
    """What a file holds. Raises LibraryError."""
    from earmark.index.errors import LibraryError

    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE + 1)
        exported = json.loads(data) if len(data) <= MAX_FILE else None
    except OSError as error:
        raise LibraryError(f"import: {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise LibraryError(f"import: {file}: expected JSON that export has written") from error
    if not isinstance(exported, dict):
        raise LibraryError(f"import: {file}: expected a JSON object that export has written")
    return exported


def _print(found: list[Classifier], *, as_json: bool) -> None:
    rows = [
        {
            "id": one.id,
            "name": one.name,
            "tag": one.tag,
            "positives": one.positives,
            "negatives": one.negatives,
            "version": one.version,
            "average_precision": one.figures.get("average_precision"),
        }
        for one in found
    ]
    if as_json:
        print(json.dumps({"classifiers": rows}))
        return
    for row in rows:
        score = row["average_precision"]
        told = "" if score is None else f", average precision on left-out labels {score:.2f}"
        print(f"{row['id']}: {row['positives']} are it, {row['negatives']} are not{told}")
