"""The exception for answers that are errors: the service's problem details (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from earmark.model.core.errors import EarmarkError

MAX_DETAIL = 200  # letters of an answer that is not a problem of the service: a proxy's, say


class ProblemError(EarmarkError):
    """A problem of the service. `type`: its name, which `/problems/NAME` describes; `retry_after`:
    seconds to wait before the next try, where the answer has a Retry-After."""

    def __init__(
        self, type: str, status: int, title: str, detail: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{status} {type}: {detail}")
        self.type, self.status, self.title, self.detail = type, status, title, detail
        self.retry_after = retry_after

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes) -> ProblemError:
        """The problem of an answer's status, headers and body."""
        problem = _json_object(body)
        text = body.decode("utf-8", "replace")[:MAX_DETAIL]
        return cls(
            str(problem.get("type", "unknown")).rpartition("/")[2],
            status,
            str(problem.get("title", "")),
            str(problem.get("detail", text)),
            _seconds(headers.get("retry-after")),
        )


def _json_object(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdigit() else None
