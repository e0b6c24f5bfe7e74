"""Queries and forms of requests → what the library takes."""

from __future__ import annotations

from typing import Any

from earmark.index.catalogue import metadata
from earmark.index.catalogue.metadata import Metadata
from earmark.service.schemas.clip_edits import ClipChanges, ClipForm, OriginForm


def metadata_of(form: OriginForm) -> Metadata:
    """The metadata in a form, with its lists of tags split."""
    title, description = (form.title, form.description) if isinstance(form, ClipForm) else ("", "")
    return Metadata(
        title=title,
        tags=metadata.split_tags(form.tags),
        author=form.author,
        source=form.source,
        licence=form.licence,
        description=description,
    )


def changes_of(body: ClipChanges) -> dict[str, Any]:
    """The fields of `Metadata` that a body sets."""
    fields = {name: getattr(body, name) for name in body.model_fields_set}
    return fields | ({"tags": tuple(body.tags)} if "tags" in fields else {})
