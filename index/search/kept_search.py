"""A search that is kept: its words and filter, as JSON in the catalogue."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any

from earmark.index.types import Filter

DERIVED = ("rows", "up_to", "but", "members")  # conditions that no person names


@dataclass(frozen=True)
class KeptSearch:
    """The `words` of a search, empty for none, and its filter."""

    words: str = ""
    where: Filter = field(default_factory=Filter)

    @property
    def conditions(self) -> dict[str, Any]:
        """The filter's conditions that are set, by the fields of `Filter`."""
        return {
            condition.name: value
            for condition in fields(Filter)
            if condition.name not in DERIVED
            and (value := getattr(self.where, condition.name)) != condition.default
        }

    def to_json(self) -> str:
        """The text that the catalogue keeps: what differs from an empty search."""
        return json.dumps({"words": self.words, "where": self.conditions}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> KeptSearch:
        """The inverse."""
        found = json.loads(text)
        conditions: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in found["where"].items()
        }
        return cls(found["words"], Filter(**conditions))
