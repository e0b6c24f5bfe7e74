"""What a client raises for an answer that is no success: the service's problem details."""

from __future__ import annotations

import json
from collections.abc import Mapping

from earmark.model.core.errors import EarmarkError

MOST_LETTERS = 200  # of an answer that is no problem of the service: a proxy's, say


class ProblemError(EarmarkError):
    """A problem (RFC 9457). `type`: its name, as `/problems/NAME` describes it; `retry_after`:
    seconds after which to try again, where the service says so."""

    def __init__(
        self, type: str, status: int, title: str, detail: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{status} {type}: {detail}")
        self.type, self.status, self.title, self.detail = type, status, title, detail
        self.retry_after = retry_after

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes) -> ProblemError:
        """From an answer."""
        said = _problem(body)
        text = body.decode("utf-8", "replace")[:MOST_LETTERS]
        return cls(
            str(said.get("type", "unknown")).rpartition("/")[2],
            status,
            str(said.get("title", "")),
            str(said.get("detail", text)),
            _seconds(headers.get("retry-after")),
        )


def _problem(body: bytes) -> dict[str, object]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _seconds(given: str | None) -> float | None:
    return float(given) if given is not None and given.isdigit() else None
