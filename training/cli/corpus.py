"""`earmark corpus`: builds a corpus of openly licensed sounds or the thesaurus, finds suspects."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.training.cli import suspects
from earmark.training.cli.options import add_json

if TYPE_CHECKING:
    from earmark.training.corpora.debian.build import BuildReport

SOUNDS, THESAURUS = "debian-sounds", "thesaurus"


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "corpus", help="build a corpus of sounds, or the thesaurus; find its wrong tags"
    )
    corpora = command.add_subparsers(dest="name", required=True, metavar="NAME")
    _add_build_options(corpora.add_parser(SOUNDS, help="sounds of Debian's packages"))
    _add_build_options(corpora.add_parser(THESAURUS, help="related words from WordNet"))
    suspects.add_command(corpora)


def _add_build_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="PATH",
        help="sounds: a folder, to which missing packages are added; thesaurus: a file",
    )
    command.add_argument(
        "--wordnet", type=Path, metavar="DIR", help="thesaurus: WordNet's folder `dict`"
    )
    command.add_argument(
        "--package",
        action="append",
        nargs="+",
        default=[],
        metavar="NAME",
        help="only these (default: all that packages.toml names)",
    )
    command.add_argument(
        "--any-version",
        action="store_true",
        help="take another version where the pinned one is not available",
    )
    command.add_argument(
        "--debs", type=Path, metavar="DIR", help="take the .deb files from there instead of apt"
    )
    command.add_argument("--jobs", type=int, metavar="N", help="processes (default: all cores)")
    add_json(command)
    command.set_defaults(run=_build)


def _build(options: argparse.Namespace) -> int:
    from earmark.model.core.errors import ConfigError

    if (options.name == THESAURUS) != (options.wordnet is not None):
        raise ConfigError(f"--wordnet: expected with {THESAURUS}, and with no other corpus")
    return _build_thesaurus(options) if options.name == THESAURUS else _build_sounds(options)


def _build_thesaurus(options: argparse.Namespace) -> int:
    from earmark.model.checkpoint import load
    from earmark.model.model_files import starter_model
    from earmark.model.text import thesaurus
    from earmark.training.corpora.thesaurus import build
    from earmark.training.corpora.wordnet import read
    from earmark.training.errors import CorpusError

    related = build(read(options.wordnet), load(starter_model()).words.words)
    try:
        thesaurus.save(options.out, related)
    except OSError as error:
        raise CorpusError(f"{options.out}: cannot be written ({error.strerror})") from error
    result = {
        "corpus": THESAURUS,
        "out": str(options.out),
        "words": len(related),
        "related": sum(map(len, related.values())),
    }
    text = f"{len(related)} words, {result['related']} related words in {options.out}"
    print(json.dumps(result) if options.json else text)
    return 0


def _build_sounds(options: argparse.Namespace) -> int:
    from earmark.model.core.errors import ConfigError
    from earmark.training.corpora.debian import fetch, packages
    from earmark.training.corpora.debian.build import build

    logging.getLogger("earmark.training").setLevel(logging.INFO)
    if options.jobs is not None and options.jobs < 1:
        raise ConfigError(f"--jobs: expected at least 1, got {options.jobs}")
    if options.debs is not None and not options.debs.is_dir():
        raise ConfigError(f"--debs: expected a folder, got {options.debs}")
    names = [name for group in options.package for name in group]
    selected = packages.select_packages(packages.read_packages(), names)
    started = time.monotonic()
    report = build(
        selected,
        options.out,
        fetch.by_apt if options.debs is None else fetch.from_folder(options.debs),
        any_version=options.any_version,
        jobs=options.jobs,
    )
    result = _result(report, options.out, time.monotonic() - started)
    print(json.dumps(result) if options.json else _text(result))
    for name, error in report.failed.items():
        print(f"earmark corpus: {name}: {error.removeprefix(f'{name}: ')}", file=sys.stderr)
    return 1 if report.failed else 0


def _result(report: BuildReport, out: Path, wall: float) -> dict[str, Any]:
    return {
        "corpus": SOUNDS,
        "out": str(out),
        "clips": report.clips,
        "hours": round(report.seconds / 3600, 2),
        "duplicates_between_packages": report.duplicates,
        "wall_seconds": round(wall, 1),
        "packages": [
            {
                "name": record.name,
                "version": record.version,
                "pinned": record.pinned,
                "clips": len(record.clips),
                "skipped": record.skipped,
                "was_done": record.name in report.unchanged,
            }
            for record in report.records
        ],
        "failed": report.failed,
    }


def _text(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        f"{package['name']:28s} {package['clips']:5d} clips  {package['version']}"
        f"{'' if package['pinned'] else '  (not the pinned version)'}"
        for package in result["packages"]
    ]
    lines.append(
        f"{len(result['packages'])} packages, {result['clips']} clips, {result['hours']} h in "
        f"{result['out']}; {len(result['failed'])} packages failed; {result['wall_seconds']:.0f} s"
    )
    return "\n".join(lines)
