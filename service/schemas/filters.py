"""Conditions on the clips to find or list."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from earmark.service.schemas.integers import WHOLE

MAX_HITS = 100
MAX_CHOICES = 20  # of one condition

MAX_LUFS = 1_000.0  # more than any sound has, and the lowest its negative

Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Number = Annotated[int, Field(ge=1, le=2**31 - 1), WHOLE]
Loudness = Annotated[float, Field(ge=-MAX_LUFS, le=MAX_LUFS, allow_inf_nan=False)]
# A year, a month or a day; whether the month has that day is for the filter to say.
Date = Annotated[
    str,
    StringConstraints(
        max_length=10, pattern=r"^([1-9]\d{3}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?)?$"
    ),
]


class FilterQuery(BaseModel):
    """Conditions on the clips, all of which must hold."""

    tag: list[Word] = Field([], max_length=MAX_CHOICES, description="All of these tags")
    any_tag: list[Word] = Field([], max_length=MAX_CHOICES, description="One of these tags")
    no_tag: list[Word] = Field([], max_length=MAX_CHOICES, description="None of these tags")
    min_duration: float | None = Field(None, ge=0, description="Seconds", allow_inf_nan=False)
    max_duration: float | None = Field(None, ge=0, description="Seconds", allow_inf_nan=False)
    licence: list[Word] = Field([], max_length=MAX_CHOICES, description="One of these licences")
    source: list[Word] = Field([], max_length=MAX_CHOICES, description="One of these sources")
    category: list[Word] = Field(
        [],
        max_length=MAX_CHOICES,
        description="One of these CatIDs of the Universal Category System",
    )
    sample_rate: list[Number] = Field(
        [], max_length=MAX_CHOICES, description="One of these sample rates, in Hz"
    )
    channels: list[Number] = Field(
        [], max_length=MAX_CHOICES, description="One of these numbers of channels"
    )
    min_loudness: Loudness | None = Field(
        None, description="LUFS; a sound whose loudness is not known does not pass"
    )
    max_loudness: Loudness | None = Field(None, description="LUFS, as `min_loudness`")
    added_after: Date = Field(
        "",
        description="Added in this year, month or day (UTC), or later",
        examples=["2026-11"],
    )
    added_before: Date = Field("", description="Added before this year, month or day (UTC)")
    collection: list[Word] = Field(
        [], max_length=MAX_CHOICES, description="In one of these collections, by id"
    )
    classifier: list[Word] = Field(
        [],
        max_length=MAX_CHOICES,
        description="One of these taught sounds, by id, as their classifiers say",
    )
