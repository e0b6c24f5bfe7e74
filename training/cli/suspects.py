"""`earmark corpus suspects`: tags of a corpus that are likely wrong, and such as are missing."""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.training.cli.options import add_data, check_positive

if TYPE_CHECKING:
    from earmark.model.core.manifest import ManifestRow
    from earmark.model.embedder import Embedder
    from earmark.training.corpora.suspects import Suspect
    from earmark.training.label_noise.confident_learning import Judged

NAME = "suspects"
SHOWN = 10  # of each kind, in the terminal


def add_commands(names: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command beside the corpora to build."""
    command = names.add_parser(NAME, help="find tags that are likely wrong or missing")
    add_data(command)
    command.add_argument(
        "--model", required=True, type=Path, metavar="PATH", help="whose ears judge"
    )
    command.add_argument("--folds", type=int, default=5, metavar="N", help="default: 5")
    command.add_argument("--out", type=Path, metavar="FILE", help="write them all there, as CSV")
    command.add_argument("--device", default="cpu", metavar="D", help="cpu, cuda or cuda:N")
    command.add_argument("--cache", type=Path, metavar="DIR", help="keep features there")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=_suspects)


def _suspects(options: argparse.Namespace) -> int:
    from earmark.model.core.errors import ConfigError
    from earmark.model.embedder import Embedder
    from earmark.model.text.normalize import clean_tags
    from earmark.training.corpora.detect import read_corpus
    from earmark.training.corpora.suspects import write_suspects
    from earmark.training.label_noise.confident_learning import judge

    logging.getLogger("earmark.training").setLevel(logging.INFO)
    if check_positive("--folds", options.folds) < 2:
        raise ConfigError(f"--folds: expected at least 2, got {options.folds}")
    if options.out is not None and not options.out.parent.is_dir():
        raise ConfigError(f"--out: expected a file in a folder, got {options.out}")
    embedder = Embedder.load(options.model, options.device)
    rows, names = [], []
    for data in options.data:
        own = read_corpus(data)
        base = data if data.is_dir() else data.parent
        rows += own
        names += [_relative(row.path, base) for row in own]
    codes, heard = _heard(embedder, rows, options.cache)
    rows, names = [rows[at] for at in heard], [names[at] for at in heard]
    tag_sets = [clean_tags(row.tags, embedder.words) for row in rows]
    judged = judge(codes, tag_sets, [row.group for row in rows], options.folds)
    found = _found(judged, rows, names)
    if options.out is not None:
        write_suspects(options.out, found)
    result = {
        "model": {"name": embedder.config.name, "fingerprint": embedder.fingerprint},
        "clips": len(rows),
        "groups": len({row.group for row in rows}),
        "folds": options.folds,
        "tags": len({tag for tags in tag_sets for tag in tags}),
        "judged": len(judged.tags),
        "untold": judged.untold,
        "given": int(judged.carried.sum()),
        "wrong": sum(each.kind == "wrong" for each in found),
        "missing": sum(each.kind == "missing" for each in found),
        "out": None if options.out is None else str(options.out),
    }
    print(json.dumps(result) if options.json else _said(result, judged, found))
    return 0


def _relative(path: Path, base: Path) -> str:
    """As the manifest has it."""
    return (path.relative_to(base) if path.is_relative_to(base) else path).as_posix()


def _heard(
    embedder: Embedder, rows: Sequence[ManifestRow], cache: Path | None
) -> tuple[Any, list[int]]:
    """Codes [n, V] of the clips that can be read, and their places [n] among the rows."""
    import numpy as np

    from earmark.training.label_noise.held_out import codes_of

    validating = set(embedder.card.get("validation_groups", ()))
    codes, places = [], []
    for side in (False, True):  # as the run had them, so that its features are found in the cache
        own = [at for at, row in enumerate(rows) if (row.group in validating) == side]
        if own:
            made, numbers = codes_of(embedder, [rows[at] for at in own], cache)
            codes.append(made)
            places += [own[number] for number in numbers]
    return np.concatenate(codes), places


def _found(judged: Judged, rows: Sequence[ManifestRow], names: Sequence[str]) -> list[Suspect]:
    """All suspects, the most confident first."""
    import numpy as np

    from earmark.training.corpora.suspects import Suspect
    from earmark.training.label_noise.confident_learning import doubt, suspected

    found = []
    for column, tag in enumerate(judged.tags):
        probable, carried = judged.probable[:, column], judged.carried[:, column]
        wrong, missing = suspected(probable, carried)
        doubts = doubt(probable, float(carried.mean()))
        found += [
            Suspect(names[at], tag, "wrong", float(doubts[at]), float(probable[at]), rows[at].group)
            for at in np.flatnonzero(wrong).tolist()
        ]
        found += [
            Suspect(
                names[at], tag, "missing", float(probable[at]), float(probable[at]), rows[at].group
            )
            for at in np.flatnonzero(missing).tolist()
        ]
    return sorted(found, key=lambda each: (-each.confidence, each.path, each.tag))


def _said(result: dict[str, Any], judged: Judged, found: Sequence[Suspect]) -> str:
    """The result as text."""
    name, print_of = result["model"]["name"], result["model"]["fingerprint"]
    share = result["wrong"] / max(1, result["given"])
    lines = [
        f"{name} ({print_of}) on {result['clips']} clips of {result['groups']} groups, "
        f"{result['folds']} folds",
        f"  tags judged   {result['judged']} of {result['tags']}; {len(judged.untold)} more have "
        "clips enough, but cannot be told",
        f"  likely wrong  {result['wrong']} of {result['given']} given tags ({share:.1%})",
        f"  missing       {result['missing']}",
    ]
    for kind in ("wrong", "missing"):
        own = [each for each in found if each.kind == kind]
        often = Counter(each.tag for each in own).most_common(SHOWN)
        lines += ["", f"{kind}, most often: {', '.join(f'{tag} {count}' for tag, count in often)}"]
        lines += [f"  {each.confidence:.3f}  {each.tag:16s} {each.path}" for each in own[:SHOWN]]
    if result["out"]:
        lines += ["", f"all {len(found)} in {result['out']}"]
    return "\n".join(lines)
