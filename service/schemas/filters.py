"""Conditions on the clips to find or list."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

MAX_HITS = 100
MAX_CHOICES = 20  # of one condition

Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class FilterQuery(BaseModel):
    """Conditions on the clips, all of which must hold."""

    tag: list[Word] = Field([], max_length=MAX_CHOICES, description="All of these tags")
    any_tag: list[Word] = Field([], max_length=MAX_CHOICES, description="One of these tags")
    no_tag: list[Word] = Field([], max_length=MAX_CHOICES, description="None of these tags")
    min_duration: float | None = Field(None, ge=0, description="Seconds", allow_inf_nan=False)
    max_duration: float | None = Field(None, ge=0, description="Seconds", allow_inf_nan=False)
    licence: list[Word] = Field([], max_length=MAX_CHOICES, description="One of these licences")
    source: list[Word] = Field([], max_length=MAX_CHOICES, description="One of these sources")
    collection: list[Word] = Field(
        [], max_length=MAX_CHOICES, description="In one of these collections, by id"
    )
    classifier: list[Word] = Field(
        [],
        max_length=MAX_CHOICES,
        description="One of these taught sounds, by id, as their classifiers say",
    )
