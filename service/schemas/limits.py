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
MAX_PEAK = 127  # of a waveform

Title = Annotated[str, StringConstraints(max_length=1_000)]
Name = Annotated[str, StringConstraints(max_length=1_000)]  # author, source, licence
Description = Annotated[str, StringConstraints(max_length=20_000)]
Recorded = Annotated[str, StringConstraints(max_length=40)]  # ISO 8601
Tag = Annotated[str, StringConstraints(max_length=200)]
Sort = Literal["relevance", "newest", "oldest", "shortest", "longest", "title"]
