"""`earmark add`, `remove`, `info`: the contents of a library."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earmark.index.ingest.bulk import AddReport, EmbeddingEngine
    from earmark.index.library import Library

DEFAULT_FOLDER = Path("library")
MAX_ENDINGS = 12  # of files passed over, that are listed


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    add = commands.add_parser("add", help="add files, folders or manifests to a library")
    add.add_argument(
        "paths", nargs="*", metavar="PATH", help="a path, or an address such as s3://bucket/folder"
    )
    add.add_argument(
        "--manifest",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="a manifest, whatever its name ends in, or the folder of a manifest or metadata file",
    )
    add.add_argument(
        "--encoding",
        metavar="NAME",
        help="of manifests, such as latin-1; default: UTF-8, or what their byte-order mark says",
    )
    add.add_argument("--watch", action="store_true", help="then watch the paths, until Ctrl-C")
    add.add_argument("--json", action="store_true", help="print JSON, with --watch on each change")
    add.add_argument("--device", default="cpu", help="of the model: cpu, cuda or cuda:N")
    add.add_argument(
        "--engine", choices=["local", "ray"], default="local", help="for embedding; default: local"
    )
    add.add_argument("--ray-address", metavar="HOST:PORT", help="default: RAY_ADDRESS, or local")
    add.add_argument(
        "--parts",
        type=Path,
        metavar="DIR",
        help="shared folder for embedded sounds; default: in the library",
    )
    add.add_argument("--actors", type=int, metavar="N", help="Ray processes; default: one per CPU")
    add.set_defaults(run=_add)
    remove = commands.add_parser("remove", help="remove clips by id (and files of uploads)")
    remove.add_argument("ids", nargs="+", metavar="ID")
    remove.set_defaults(run=_remove)
    info = commands.add_parser("info", help="show what a library contains")
    info.add_argument("--json", action="store_true", help="print one JSON object")
    info.set_defaults(run=_info)
    for command in (add, remove, info):
        command.add_argument(
            "--library", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="default: library"
        )
        command.add_argument("--model", type=Path, metavar="PATH", help="default: starter model")


def _open(options: argparse.Namespace, *, create: bool = False) -> Library:
    from earmark.index.library import Library
    from earmark.model.encoders.load import load_embedder

    embedder = load_embedder(options.model, getattr(options, "device", "cpu"))
    return Library.open(options.library, embedder, create=create)


def _model(options: argparse.Namespace) -> Path:
    from earmark.model.model_files import starter_model

    return options.model or starter_model()


def _engine(options: argparse.Namespace) -> EmbeddingEngine:
    """The embedding engine that the options name. Raises InputError."""
    from earmark.index.ingest import local
    from earmark.model.core.errors import InputError

    if options.engine == "local":
        if any(value is not None for value in (options.ray_address, options.parts, options.actors)):
            raise InputError("--ray-address, --parts, --actors: expected only with --engine ray")
        return local.embed
    if options.watch:
        raise InputError("--watch: expected --engine local, got ray, which is for bulk")
    from earmark.index.ingest.ray.engine import RayEngine

    shards = options.parts or options.library / "parts"
    return RayEngine(_model(options), shards, options.ray_address, options.actors)


def _manifest_file(path: Path) -> Path:
    """The file that `--manifest` names. Raises InputError for a folder without any."""
    from earmark.model.core.errors import InputError
    from earmark.model.core.manifest import FILE_NAMES, in_folder

    file = in_folder(path) if path.is_dir() else path
    if file is None:
        raise InputError(f"--manifest: expected one of {', '.join(FILE_NAMES)} in {path}")
    return file


def _add(options: argparse.Namespace) -> int:
    from earmark.index.ingest import bulk, watch
    from earmark.index.ingest.walk import Manifests, Walk
    from earmark.model.cloud.addresses import is_address
    from earmark.model.cloud.cloud_file import named_file
    from earmark.model.core.errors import InputError

    named = list(map(_manifest_file, options.manifest))
    paths = [*map(named_file, options.paths), *named]
    if not paths:
        raise InputError("path: expected a file, folder or manifest to add, got none")
    manifests = Manifests(frozenset(named), options.encoding)
    if is_address(str(options.library).replace(":/", "://", 1)):
        raise InputError(f"--library: expected a folder of this machine, got {options.library}")
    here = [path for path in paths if isinstance(path, Path)]
    if options.watch and len(here) < len(paths):
        raise InputError(
            "--watch: expected files and folders of this machine, got an address; adding it again "
            "reads what has changed"
        )
    for path in here:
        if os.path.realpath(path) == os.path.realpath(options.library):
            raise InputError(
                f"path: expected sounds, got the library itself: {path}; give it a folder of its "
                "own (--library)"
            )
    for place in paths:
        next(Walk(manifests).sounds(place), None)  # before a library is created for a wrong path
    engine = _engine(options)
    interrupt = watch.Interrupt()
    for number in (signal.SIGINT, signal.SIGTERM):  # what is embedded is still written
        signal.signal(number, interrupt)
    failed = False
    with _open(options, create=True) as library:
        reports = (
            watch.follow(library, here, interrupt, manifests)
            if options.watch
            else [bulk.add(library, paths, engine, manifests)]
        )
        with contextlib.suppress(KeyboardInterrupt) if options.watch else contextlib.nullcontext():
            for report in reports:
                _print_report(report, library, as_json=options.json)
                failed |= bool(report.failed)
    return 1 if failed and not options.watch else 0


def _print_report(report: AddReport, library: Library, *, as_json: bool) -> None:
    count = library.catalogue.count()
    if as_json:
        print(json.dumps({**asdict(report), "clips": count}), flush=True)
        return
    moved = f"moved {len(report.moved)}, " if report.moved else ""
    print(
        f"added {len(report.added)}, {moved}described {report.described}, "
        f"unchanged {report.unchanged}, failed {len(report.failed)}; "
        f"{count} clips in {library.folder}",
        flush=True,
    )
    if report.passed_over:
        print(_passed_over(report.passed_over), flush=True)
    for clip_id, earlier in report.duplicates.items():
        print(f"the same sound: {clip_id} as {earlier}", file=sys.stderr)
    for path, seconds in report.damaged.items():
        print(f"damaged: {printable(path)}: {seconds:.2f} s skipped", file=sys.stderr)
    for path, reason in report.failed.items():
        print(f"failed: {printable(path)}: {printable(reason)}", file=sys.stderr)


def printable(text: str) -> str:
    """A path or reason on one line: other control characters as escapes."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _passed_over(counts: Mapping[str, int]) -> str:
    """How many files were passed over, by ending, the most frequent first."""
    endings = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{count:,} {ending or 'without ending'}" for ending, count in endings[:MAX_ENDINGS]]
    if len(endings) > MAX_ENDINGS:
        parts.append(f"{sum(count for _, count in endings[MAX_ENDINGS:]):,} other")
    total = sum(counts.values())
    return f"passed over {total:,} {'file' if total == 1 else 'files'}: {', '.join(parts)}"


def _remove(options: argparse.Namespace) -> int:
    with _open(options) as library:
        library.remove(options.ids)
        print(f"removed {len(options.ids)}; {library.catalogue.count()} clips left")
    return 0


def _info(options: argparse.Namespace) -> int:
    with _open(options) as library:
        info = library.info()
    if options.json:
        print(json.dumps(info))
        return 0
    failures, missing = info.pop("failures"), info.pop("missing")
    damaged = info.pop("damaged")
    for name, value in info.items():
        print(f"{name:20} {value:.1f}" if isinstance(value, float) else f"{name:20} {value}")
    print(f"{'failed files':20} {len(failures)}")
    for path, reason in failures.items():
        print(f"  {path}: {reason}")
    print(f"{'damaged files':20} {len(damaged)}")
    for path, seconds in damaged.items():
        print(f"  {path}: {seconds:.2f} s skipped")
    print(f"{'missing files':20} {missing['total']}")
    for sound in missing["first"]:
        print(f"  {sound['path']} ({sound['id']})")
    if missing["total"] > len(missing["first"]):
        print(
            f"  and {missing['total'] - len(missing['first'])} more; `earmark prune` removes them"
        )
    return 0
