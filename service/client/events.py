"""Reads server-sent events from lines, and decides on retries. Does no input or output itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from earmark.service.client.errors import ProblemError

FIRST_WAIT = 0.5  # seconds, without a Retry-After; doubled with each try


@dataclass(frozen=True)
class Event:
    """A server-sent event. `number`: of a job's event, to resume after it; 0 for other events."""

    kind: str
    data: dict[str, Any]
    number: int = 0


@dataclass
class EventReader:
    """Parses an event stream line by line."""

    _fields: dict[str, str] = field(default_factory=dict)

    def feed(self, line: str) -> Event | None:
        """Take a line without its end; returns the event that it completes, if any."""
        name, _, value = line.partition(":")
        if name:
            self._fields[name] = value.removeprefix(" ")
            return None
        if line or "data" not in self._fields:  # a comment, or an empty line without an event
            return None
        fields, self._fields = self._fields, {}
        number = int(fields.get("id") or 0)
        return Event(fields.get("event", "message"), json.loads(fields["data"]), number)


@dataclass(frozen=True)
class Retries:
    """When a client repeats a call that the service refused for now (429, 503): at most `most`
    times, and not if it must wait longer than `longest` seconds. `Retries(0)`: never."""

    most: int = 3
    longest: float = 60.0

    def wait(self, problem: ProblemError, tries: int, safe: bool) -> float | None:
        """Seconds to wait before the next try, after `tries`; None to give up.

        A busy service (429) has not begun the work; an unavailable one (503) may have. After a 503
        only calls that are `safe` to send twice are repeated.
        """
        if tries > self.most or not (problem.status == 429 or (problem.status == 503 and safe)):
            return None
        wait = problem.retry_after
        if wait is None:
            wait = FIRST_WAIT * 2 ** (tries - 1)
        return wait if wait <= self.longest else None
