"""What routes share that take a stretch of a sound: its parameters, and the stretch of a clip."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from typing import Annotated

from fastapi import Form, Query

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.records import Clip
from earmark.model.audio.stretch import Entry, Span, Stretch
from earmark.model.cloud.cloud_file import stored_file
from earmark.model.core.errors import InputError

_START = "Where a stretch of the sound begins, in seconds; not given: at its start"
_END = "Where the stretch ends, in seconds, after `start`; not given, or too late: at its end"

Start = Annotated[float | None, Query(ge=0, allow_inf_nan=False, description=_START)]
End = Annotated[float | None, Query(gt=0, allow_inf_nan=False, description=_END)]
# Uploads take them in the form as well, which goes before.
StartField = Annotated[
    float | None, Form(alias="start", ge=0, allow_inf_nan=False, description=_START)
]
EndField = Annotated[float | None, Form(alias="end", gt=0, allow_inf_nan=False, description=_END)]


def stretch_of(
    catalogue: Catalogue, clip: Clip, state: os.stat_result, start: float | None, end: float | None
) -> Stretch:
    """A stretch of a clip whose file has this state; no later than the clip's end.

    Reading may begin in the middle where the file has not changed since it was read whole, without
    damage. Raises InputError.
    """
    span = Span(start or 0.0, math.inf if end is None else end)
    if span.start >= clip.duration:
        raise InputError(
            f"start: expected less than the sound's {clip.duration:g} s, got {span.start:g}"
        )
    catalogued = catalogue.sounds_at([clip.path]).get(clip.path)
    is_known = (
        catalogued is not None
        and (catalogued.size, catalogued.mtime_ns) == (state.st_size, state.st_mtime_ns)
        and not clip.damaged
    )
    entry: Entry = "undamaged" if is_known else "plain"
    stretch = Stretch(stored_file(clip.path), span.start, min(span.end, clip.duration), entry)
    first, last = stretch.frames(clip.sample_rate)
    if first == last:
        raise InputError(
            f"start, end: expected a sample between them, at {clip.sample_rate} Hz, got none"
        )
    return stretch


def near(stretch: Stretch) -> Stretch:
    """The same for what need not have the very samples: drawing, and embedding."""
    return replace(stretch, entry="near") if stretch.entry == "undamaged" else stretch


def span_of_upload(start: float | None, end: float | None, max_seconds: float) -> Span | None:
    """The stretch of an upload that is still to be read; None for the whole. Raises InputError."""
    if start is None and end is None:
        return None
    if start is not None and start >= max_seconds:  # what lies before is decoded, too
        raise InputError(f"start: expected less than {max_seconds:g} s, got {start:g}")
    return Span(start or 0.0, math.inf if end is None else end)
