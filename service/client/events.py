"""Server-sent events, from lines; and how often to try again. Neither does any input or output."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from earmark.service.client.errors import ProblemError

FIRST_WAIT = 0.5  # seconds, where the service does not say; doubled from try to try


@dataclass(frozen=True)
class Event:
    """Something that happened. `number`: of a job's event, to go on after it; 0 elsewhere."""

    kind: str
    data: dict[str, Any]
    number: int = 0


@dataclass
class EventReader:
    """Lines → events."""

    _fields: dict[str, str] = field(default_factory=dict)

    def feed(self, line: str) -> Event | None:
        """The event that ends with this line, if one does."""
        name, _, value = line.partition(":")
        if name:
            self._fields[name] = value.removeprefix(" ")
            return None
        if line or "data" not in self._fields:  # a comment, or nothing before
            return None
        given, self._fields = self._fields, {}
        number = int(given.get("id") or 0)
        return Event(given.get("event", "message"), json.loads(given["data"]), number)


@dataclass(frozen=True)
class Retries:
    """How a client tries again what was refused for now (429, 503): up to `most` times, never
    after more than `longest` seconds. `Retries(0)`: never."""

    most: int = 3
    longest: float = 60.0

    def wait(self, problem: ProblemError, tries: int, safe: bool) -> float | None:
        """Seconds until another try after so many; None to give up.

        A busy service (429) has done nothing; an unavailable one (503) may have, so only what is
        safe to send twice is.
        """
        if tries > self.most or not (problem.status == 429 or (problem.status == 503 and safe)):
            return None
        wait = problem.retry_after
        if wait is None:
            wait = FIRST_WAIT * 2 ** (tries - 1)
        return wait if wait <= self.longest else None
