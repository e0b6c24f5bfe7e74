"""Filters as options of the command line."""

from __future__ import annotations

from typing import get_args

import pytest

from earmark.index.errors import FilterError
from earmark.index.types import Filter, Sort
from earmark.service.cli.filters import filter_of
from earmark.service.cli.main import build_parser
from earmark.service.cli.query import SORTS


def read(*options: str) -> Filter:
    return filter_of(build_parser().parse_args(["search", "rain", *options]))


def test_each_option_is_a_condition() -> None:
    assert read() == Filter()
    assert read(
        *("--tag", "rain", "--tag", "roof", "--licence", "CC0-1.0", "--source", "one"),
        *("--category", "WEATRain", "--collection", "favourites", "--channels", "2"),
        *("--sample-rate", "48000", "--sample-rate", "96000", "--min-duration", "1"),
        *("--max-duration", "5", "--min-loudness=-30", "--max-loudness", "-14.5"),
        *("--added-after", "2026-11", "--added-before", "2027"),
    ) == Filter(
        all_tags=("rain", "roof"),
        licences=("CC0-1.0",),
        sources=("one",),
        categories=("WEATRain",),
        collections=("favourites",),
        channels=(2,),
        sample_rates=(48_000, 96_000),
        min_duration=1.0,
        max_duration=5.0,
        min_loudness=-30.0,
        max_loudness=-14.5,
        added_after="2026-11",
        added_before="2027",
    )
    with pytest.raises(FilterError, match="added_after: expected a year, a month or a day"):
        read("--added-after", "soon")


def test_the_orders_are_those_of_a_search() -> None:
    assert get_args(Sort) == SORTS
