"""Which clips may be found: by tags, duration, licence, source, or by their numbers."""

from __future__ import annotations

from dataclasses import dataclass

from earmark.index.errors import FilterError


@dataclass(frozen=True)
class Filter:
    """Conditions that all must hold; an empty one lets all pass.

    `all_tags`, `any_tags`, `no_tags`: tags that a clip must have all of, one of, none of, in any
    case of letters. `min_duration`, `max_duration`: seconds, both inclusive. `licences`,
    `sources`: one of these. `rows`: one of these clip numbers; `up_to`: none above this one; `but`:
    not this one.
    Raises FilterError for durations that are no range.
    """

    all_tags: tuple[str, ...] = ()
    any_tags: tuple[str, ...] = ()
    no_tags: tuple[str, ...] = ()
    min_duration: float | None = None
    max_duration: float | None = None
    licences: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    rows: tuple[int, ...] | None = None
    up_to: int | None = None
    but: int | None = None

    def __post_init__(self) -> None:
        low = 0.0 if self.min_duration is None else self.min_duration
        high = float("inf") if self.max_duration is None else self.max_duration
        if not 0 <= low <= high:
            raise FilterError(
                f"duration: expected 0 ≤ minimum ≤ maximum seconds, got {self.min_duration} "
                f"and {self.max_duration}"
            )

    @property
    def empty(self) -> bool:
        """Whether all clips pass."""
        return self == _ALL


_ALL = Filter()
