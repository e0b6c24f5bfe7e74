"""`earmark corpus suspects`: finds likely wrong and likely missing tags of a corpus."""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.training.cli.options import (
    add_cache,
    add_data,
    add_device,
    add_json,
    check_positive,
)

if TYPE_CHECKING:
    from earmark.model.core.arrays import Array
    from earmark.model.core.manifest import ManifestRow
    from earmark.model.embedder import Embedder
    from earmark.training.label_noise.suspects import Suspect

MAX_LINES = 10  # of each kind, in the terminal


def add_command(corpora: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command beside the corpora of `earmark corpus`."""
    command = corpora.add_parser("suspects", help="find tags that are likely wrong or missing")
    add_data(command)
    command.add_argument(
        "--model", required=True, type=Path, metavar="PATH", help="its codes predict the tags"
    )
    command.add_argument("--folds", type=int, default=5, metavar="N", help="default: 5")
    command.add_argument("--out", type=Path, metavar="FILE", help="write all of them there as CSV")
    add_device(command)
    add_cache(command)
    add_json(command)
    command.set_defaults(run=_suspects)


def _suspects(options: argparse.Namespace) -> int:
    from earmark.model.core.errors import ConfigError
    from earmark.model.encoders.load import load_embedder
    from earmark.model.text.normalize import clean_tags
    from earmark.training.label_noise.confident_learning import assess_tags
    from earmark.training.label_noise.suspects import find_suspects, write_suspects

    logging.getLogger("earmark.training").setLevel(logging.INFO)
    if check_positive("--folds", options.folds) < 2:
        raise ConfigError(f"--folds: expected at least 2, got {options.folds}")
    if options.out is not None and not options.out.parent.is_dir():
        raise ConfigError(f"--out: expected a file in a folder, got {options.out}")
    embedder = load_embedder(options.model, options.device)
    rows, paths = _read(options.data)
    codes, readable = _encode(embedder, rows, options.cache)
    rows, paths = [rows[index] for index in readable], [paths[index] for index in readable]
    tag_sets = [clean_tags(row.tags, embedder.words) for row in rows]
    assessment = assess_tags(codes, tag_sets, [row.group for row in rows], options.folds)
    suspects = find_suspects(assessment, rows, paths)
    if options.out is not None:
        write_suspects(options.out, suspects)
    result = {
        "model": {"name": embedder.name, "fingerprint": embedder.fingerprint},
        "clips": len(rows),
        "groups": len({row.group for row in rows}),
        "folds": options.folds,
        "tags": len({tag for tags in tag_sets for tag in tags}),
        "judged": len(assessment.tags),
        "untold": assessment.unpredictable,
        "given": int(assessment.has_tag.sum()),
        "wrong": sum(suspect.kind == "wrong" for suspect in suspects),
        "missing": sum(suspect.kind == "missing" for suspect in suspects),
        "out": None if options.out is None else str(options.out),
    }
    print(json.dumps(result) if options.json else _text(result, suspects))
    return 0


def _read(corpora: Sequence[Path]) -> tuple[list[ManifestRow], list[str]]:
    """(the rows of all corpora, their paths as in their manifests)."""
    from earmark.training.corpora.detect import read_corpus

    rows, paths = [], []
    for data in corpora:
        corpus = read_corpus(data)
        base = data if data.is_dir() else data.parent
        rows += corpus
        paths += [_manifest_path(row.path, base) for row in corpus]
    return rows, paths


def _manifest_path(path: Path, base: Path) -> str:
    """The path relative to the manifest's folder, where it is inside it."""
    return (path.relative_to(base) if path.is_relative_to(base) else path).as_posix()


def _encode(
    embedder: Embedder, rows: Sequence[ManifestRow], cache: Path | None
) -> tuple[Array, list[int]]:
    """(codes [n, V] of the readable clips, their indices [n] among the rows).

    Training and validation clips are encoded apart, as in a training run, to reuse its cache.
    """
    import numpy as np

    from earmark.training.features.encode_clips import corpus_codes

    validation_groups = set(embedder.card.get("validation_groups", ()))
    codes, indices = [], []
    for validates in (False, True):
        side = [
            index for index, row in enumerate(rows) if (row.group in validation_groups) == validates
        ]
        if side:
            side_codes, readable = corpus_codes(embedder, [rows[index] for index in side], cache)
            codes.append(side_codes)
            indices += [side[index] for index in readable]
    return np.concatenate(codes), indices


def _text(result: dict[str, Any], suspects: Sequence[Suspect]) -> str:
    """The result as text."""
    name, fingerprint = result["model"]["name"], result["model"]["fingerprint"]
    share = result["wrong"] / max(1, result["given"])
    lines = [
        f"{name} ({fingerprint}) on {result['clips']} clips of {result['groups']} groups, "
        f"{result['folds']} folds",
        f"  tags judged   {result['judged']} of {result['tags']}; {len(result['untold'])} more "
        "have clips enough, but cannot be told",
        f"  likely wrong  {result['wrong']} of {result['given']} given tags ({share:.1%})",
        f"  missing       {result['missing']}",
    ]
    for kind in ("wrong", "missing"):
        of_kind = [suspect for suspect in suspects if suspect.kind == kind]
        frequent = Counter(suspect.tag for suspect in of_kind).most_common(MAX_LINES)
        counts = ", ".join(f"{tag} {count}" for tag, count in frequent)
        lines += ["", f"{kind}, most often: {counts}"]
        lines += [
            f"  {suspect.confidence:.3f}  {suspect.tag:16s} {suspect.path}"
            for suspect in of_kind[:MAX_LINES]
        ]
    if result["out"]:
        lines += ["", f"all {len(suspects)} in {result['out']}"]
    return "\n".join(lines)
