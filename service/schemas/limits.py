"""Limits and choices of what clients send.

They are those of the library (`index`), which schemas must not import: the client is installed
without it. `tests/service/schemas` keeps them equal.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

MAX_ID_CHARACTERS = 200
MAX_CURSOR_CHARACTERS = 500
MAX_TAGS = 1_000
MAX_TAG_CHARACTERS = 200
MOMENTS, MAX_MOMENTS = 3, 10  # of a hit
MAX_PEAK = 127  # of a waveform

Title = Annotated[str, StringConstraints(max_length=1_000)]
Name = Annotated[str, StringConstraints(max_length=1_000)]  # author, source, licence
Description = Annotated[str, StringConstraints(max_length=20_000)]
DATE = (
    r"[12]\d{3}"  # a year
    r"(-(0[1-9]|1[0-2])"
    r"|-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|[12]\d))"
    r"(T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)?)?)?"
)
Recorded = Annotated[str, StringConstraints(max_length=40, pattern=f"^({DATE})?$")]
Tag = Annotated[str, StringConstraints(max_length=MAX_TAG_CHARACTERS)]
ClipSort = Literal["newest", "oldest", "shortest", "longest", "title", "loudest", "quietest", "id"]
Sort = Literal[
    "relevance", "newest", "oldest", "shortest", "longest", "title", "loudest", "quietest"
]
