"""Answers that are made of a clip's sound: the state of its file, and their ETag."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio.to_thread

from earmark.index.catalogue.records import Clip
from earmark.model.core.errors import AudioError
from earmark.service.http import etags
from earmark.service.http.problems import ProblemError


def file_state(clip: Clip) -> os.stat_result:
    """The state of a clip's file. Raises ProblemError (410) where there is none."""
    with suppress(OSError, ValueError):
        state = os.stat(clip.path)  # noqa: PTH116 (whatever the catalogue holds)
        if stat.S_ISREG(state.st_mode):
            return state
    raise ProblemError("sound-gone", f"id: the file of {clip.id!r} is not there now")


@asynccontextmanager
async def reading_file(clip: Clip) -> AsyncIterator[None]:
    """While a clip's file is read: ProblemError (410) in place of an AudioError where it has gone
    meanwhile."""
    try:
        yield
    except AudioError:
        await anyio.to_thread.run_sync(file_state, clip)
        raise


def sound_tag(clip: Clip, state: os.stat_result, *more: object) -> str:
    """The entity tag of what is made of a clip's sound and of `more`."""
    return etags.etag(state.st_size, state.st_mtime_ns, clip.sha256, *more)
