"""Which clips may be found or listed."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from earmark.index.types import Filter

MAX_HITS = 100
MAX_CHOICES = 20  # of one condition

Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class FilterQuery(BaseModel):
    """Which clips may be found: all conditions given must hold."""

    tag: list[Word] = Field([], max_length=MAX_CHOICES, description="All of these tags")
    any_tag: list[Word] = Field([], max_length=MAX_CHOICES, description="One of these tags")
    no_tag: list[Word] = Field([], max_length=MAX_CHOICES, description="None of these tags")
    min_duration: float | None = Field(None, ge=0, description="Seconds", allow_inf_nan=False)
    max_duration: float | None = Field(None, ge=0, description="Seconds", allow_inf_nan=False)
    licence: list[Word] = Field([], max_length=MAX_CHOICES, description="One of these licences")
    source: list[Word] = Field([], max_length=MAX_CHOICES, description="One of these sources")

    def filter(self) -> Filter:
        """As the library takes it. Raises FilterError for durations that are no range."""
        return Filter(
            all_tags=tuple(self.tag),
            any_tags=tuple(self.any_tag),
            no_tags=tuple(self.no_tag),
            min_duration=self.min_duration,
            max_duration=self.max_duration,
            licences=tuple(self.licence),
            sources=tuple(self.source),
        )
