"""Answers that are made of a clip's sound: the state of its file, and their ETag."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache

import anyio
import anyio.to_thread

from earmark.index.catalogue.records import Clip
from earmark.model.cloud.addresses import is_address
from earmark.model.cloud.cloud_file import CloudFile, stored_file
from earmark.model.core.errors import AudioError, ConfigError
from earmark.service.http import etags
from earmark.service.http.problems import ProblemError

log = logging.getLogger(__name__)

ASKERS = 16  # threads that ask stores for files' states; others go on while those do not answer


async def file_state(clip: Clip) -> os.stat_result:
    """The state of a clip's file. Raises ProblemError: 410 where there is none, 503 where the store
    that has it cannot be asked."""
    limiter = _askers() if is_address(clip.path) else None
    return await anyio.to_thread.run_sync(_state, clip, limiter=limiter)


@cache
def _askers() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(ASKERS)


def _state(clip: Clip) -> os.stat_result:
    file = stored_file(clip.path)
    if isinstance(file, CloudFile):
        with translated_store_errors():
            return file.stat()
    with suppress(OSError, ValueError):
        state = os.stat(clip.path)  # noqa: PTH116 (whatever the catalogue holds)
        if stat.S_ISREG(state.st_mode):
            return state
    raise ProblemError("sound-gone", f"id: the file of {clip.id!r} is not there now")


@contextmanager
def translated_store_errors() -> Iterator[None]:
    """While a store is asked for a sound: ProblemError (410, 503) for what goes wrong."""
    try:
        yield
    except FileNotFoundError as error:
        raise ProblemError("sound-gone", "id: the sound is not in its store now") from error
    except (OSError, ConfigError) as error:
        log.warning("a sound's store: %s", getattr(error, "strerror", None) or error)
        raise ProblemError(
            "unavailable", "the store of this sound cannot be read now", {"Retry-After": "10"}
        ) from error


@asynccontextmanager
async def reading_file(clip: Clip) -> AsyncIterator[None]:
    """While a clip's file is read: ProblemError (410, 503) in place of an AudioError where it has
    gone meanwhile."""
    try:
        yield
    except AudioError:
        await file_state(clip)
        raise


def sound_tag(clip: Clip, state: os.stat_result, *more: object) -> str:
    """The entity tag of what is made of a clip's sound and of `more`."""
    return etags.etag(state.st_size, state.st_mtime_ns, clip.sha256, *more)
