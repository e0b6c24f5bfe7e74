"""Days, as numbers since 1 January 1970 (UTC)."""

from __future__ import annotations

import datetime

from earmark.index.errors import FilterError

EPOCH = datetime.date(1970, 1, 1).toordinal()


def first_day(text: str, name: str) -> int:
    """The first day of a date in ISO 8601: "2026", "2026-11" or "2026-11-30".

    Raises FilterError for any other text; `name`: in its message.
    """
    try:
        if len(text) not in (4, 7, 10) or "W" in text:  # weeks
            raise ValueError
        return datetime.date.fromisoformat(text + "-01-01"[len(text) - 4 :]).toordinal() - EPOCH
    except ValueError as error:
        raise FilterError(
            f"{name}: expected a year, a month or a day such as 2026-11-30, got {text[:40]!r}"
        ) from error
