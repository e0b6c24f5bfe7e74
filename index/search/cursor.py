"""Cursors of search pages: where a page ended. A client sends one back to get the next page.

Pages stay stable while others write. Clips that were added after the first page have higher row
numbers and are left out. The place is that of the page's last hits, not a count, so removing clips
shifts nothing. A cursor belongs to one search.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from earmark.index.errors import CursorError

LAST_HITS = 5  # that mark the place: any of them may be removed
MAX_LETTERS = 500


@dataclass(frozen=True)
class Cursor:
    """`up_to`: the highest row number when the first page was made; `last`: rows of the page's last
    hits; `seen`: hits on this page and those before."""

    up_to: int
    last: tuple[int, ...] = ()
    seen: int = 0

    def encode(self, search_key: str) -> str:
        """The text for the client."""
        values = [digest(search_key), self.up_to, self.seen, *self.last]
        return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, search_key: str) -> Cursor:
        """The inverse. Raises CursorError for a text that is no cursor, or another search's."""
        problem = CursorError(f"cursor: expected one that a search gave, got {text[:40]!r}")
        if len(text) > MAX_LETTERS:
            raise problem
        try:
            values = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", True))
            key_digest, *numbers = values
            up_to, seen, *last = numbers
        except (binascii.Error, ValueError, TypeError, RecursionError) as error:
            raise problem from error
        whole = all(type(number) is int and 0 <= number < 2**63 for number in numbers)
        if not isinstance(key_digest, str) or not whole or len(last) > LAST_HITS:
            raise problem
        if key_digest != digest(search_key):
            raise CursorError("cursor: expected one of this very query, got another query's")
        return cls(up_to, tuple(last), seen)

    def offset(self, rows: Sequence[int]) -> int:
        """How many rows of a ranking come before the next page."""
        if not self.last and not self.seen:
            return 0
        ends = {row: end for end, row in enumerate(rows, start=1)}
        found = [ends[row] for row in self.last if row in ends]
        return max(found) if found else min(self.seen, len(rows))


def digest(search_key: str) -> str:
    """A short hash of a search's key, as text."""
    return hashlib.blake2b(search_key.encode(errors="surrogatepass"), digest_size=6).hexdigest()
