"""Tags by what they are of: animals, vehicles, instruments, …, for figures by group.

The groups stand in `tag_groups.toml`; a tag that is in none of them is of OTHER.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earmark.training.errors import CorpusError
from earmark.training.metrics import ranking

FILE = Path(__file__).with_name("tag_groups.toml")
OTHER = "other"


def read_groups(file: Path = FILE) -> dict[str, str]:
    """Tag → its group. Raises CorpusError for a tag in two groups, or another kind of file."""
    try:
        groups = tomllib.loads(file.read_text(encoding="utf-8"))["groups"]
        listed = [(tag, group) for group, tags in groups.items() for tag in tags.split()]
    except OSError as error:
        raise CorpusError(f"{file}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, AttributeError) as error:
        raise CorpusError(f"{file}: expected [groups] of tags in TOML ({error})") from error
    twice = sorted({tag for tag, _ in listed if [each for each, _ in listed].count(tag) > 1})
    if twice:
        raise CorpusError(f"{file}: expected each tag once, got {', '.join(twice)} twice")
    return dict(listed)


def by_group(
    tags: Sequence[str],
    similarity: npt.NDArray[np.float32],
    carried: npt.NDArray[np.bool_],
    groups: Mapping[str, str] | None = None,
) -> dict[str, dict[str, float]]:
    """Mean AP@10 of the queries `tags` by group, best first, and how many tags that are.

    similarity, carried: [clips, tags], as `retrieval.both_ways` gives them.
    """
    known = read_groups() if groups is None else groups
    precisions: dict[str, list[float]] = {}
    for column, tag in enumerate(tags):
        own = slice(column, column + 1)
        precision = ranking.map_at(similarity[:, own].T, carried[:, own].T)
        precisions.setdefault(known.get(tag, OTHER), []).append(precision)
    means = {
        group: {"AP@10": float(np.mean(each)), "tags": len(each)}
        for group, each in precisions.items()
    }
    return dict(sorted(means.items(), key=lambda item: -item[1]["AP@10"]))
