"""Retrieval metrics by group of tags: animals, vehicles, instruments, ….

`tag_groups.toml` lists the groups; a tag in none of them belongs to OTHER.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earmark.training.errors import CorpusError
from earmark.training.metrics import ranking

GROUPS_FILE = Path(__file__).with_name("tag_groups.toml")
OTHER = "other"


def read_groups(file: Path = GROUPS_FILE) -> dict[str, str]:
    """Tag → its group. Raises CorpusError for a tag in two groups, or another kind of file."""
    try:
        groups = tomllib.loads(file.read_text(encoding="utf-8"))["groups"]
        pairs = [(tag, group) for group, tags in groups.items() for tag in tags.split()]
    except OSError as error:
        raise CorpusError(f"{file}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, AttributeError) as error:
        raise CorpusError(f"{file}: expected [groups] of tags in TOML ({error})") from error
    tags = [tag for tag, _ in pairs]
    twice = sorted({tag for tag in tags if tags.count(tag) > 1})
    if twice:
        raise CorpusError(f"{file}: expected each tag once, got {', '.join(twice)} twice")
    return dict(pairs)


def precision_by_group(
    tags: Sequence[str],
    cosines: npt.NDArray[np.float32],
    has_tag: npt.NDArray[np.bool_],
    groups: Mapping[str, str] | None = None,
) -> dict[str, dict[str, float]]:
    """Group → mean AP@10 of its query `tags` and their number, best first.

    cosines, has_tag: [clips, tags] as of `training.metrics.tag_queries.tag_cosines`.
    """
    group_of = read_groups() if groups is None else groups
    precisions: dict[str, list[float]] = {}
    for index, tag in enumerate(tags):
        column = slice(index, index + 1)
        precision = ranking.map_at(cosines[:, column].T, has_tag[:, column].T)
        precisions.setdefault(group_of.get(tag, OTHER), []).append(precision)
    means = {
        group: {"AP@10": float(np.mean(values)), "tags": len(values)}
        for group, values in precisions.items()
    }
    return dict(sorted(means.items(), key=lambda item: -item[1]["AP@10"]))
