"""Where a page of hits ended: what a client sends back to get the next.

Pages stay stable while others write: clips that came after the first page are left out (their
numbers are higher), and the place is told by the last hits of the page, not by their count, so that
what is removed shifts nothing. A cursor belongs to one query.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from earmark.index.errors import CursorError

LAST = 5  # hits that tell the place: any of them may be removed
MOST_LETTERS = 500


@dataclass(frozen=True)
class Cursor:
    """`up_to`: the highest clip number of the first page's library; `last`: the numbers of the
    page's last hits; `seen`: how many hits came before."""

    up_to: int
    last: tuple[int, ...] = ()
    seen: int = 0

    def text(self, query: str) -> str:
        """For the client."""
        values = [digest(query), self.up_to, self.seen, *self.last]
        return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")

    @classmethod
    def of(cls, text: str, query: str) -> Cursor:
        """The inverse. Raises CursorError for what is none, or another query's."""
        problem = CursorError(f"cursor: expected one that a search gave, got {text[:40]!r}")
        if len(text) > MOST_LETTERS:
            raise problem
        try:
            values = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", True))
            own, *numbers = values
            up_to, seen, *last = numbers
        except (binascii.Error, ValueError, TypeError, RecursionError) as error:
            raise problem from error
        whole = all(type(each) is int and 0 <= each < 2**63 for each in numbers)
        if not isinstance(own, str) or not whole or len(last) > LAST:
            raise problem
        if own != digest(query):
            raise CursorError("cursor: expected one of this very query, got another query's")
        return cls(up_to, tuple(last), seen)

    def place(self, rows: Sequence[int]) -> int:
        """How many of a ranking's rows came before the next page."""
        if not self.last and not self.seen:
            return 0
        where = {row: place for place, row in enumerate(rows, start=1)}
        places = [where[row] for row in self.last if row in where]
        return max(places) if places else min(self.seen, len(rows))


def digest(query: str) -> str:
    """A short sum of a query, in text."""
    return hashlib.blake2b(query.encode(errors="surrogatepass"), digest_size=6).hexdigest()
