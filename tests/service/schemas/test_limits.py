"""The limits of schemas are the library's, and schemas import neither it nor the model."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from earmark.index import types
from earmark.index.catalogue import metadata, records
from earmark.index.catalogue.metadata import Metadata
from earmark.index.curation import classifiers
from earmark.index.search import cursor
from earmark.model.drawing.waveform import FULL_SCALE
from earmark.service.schemas import limits
from earmark.service.schemas.curation import classifiers as schemas
from tests.index.made import ROOT, environment

SCHEMAS = ROOT / "service" / "schemas"
HEAVY = ("torch", "numpy", "faiss", "earmark.model", "earmark.index")


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("title", limits.Title),
        ("author", limits.Name),
        ("source", limits.Name),
        ("licence", limits.Name),
        ("description", limits.Description),
        ("tags", limits.Tag),
    ],
)
def test_texts_are_limited_as_in_the_catalogue(field: str, kind: type[str]) -> None:
    adapter, limit = TypeAdapter(kind), metadata.MAX_CHARACTERS[field]
    assert adapter.validate_python("x" * limit)
    with pytest.raises(ValidationError, match=f"at most {limit} characters"):
        adapter.validate_python("x" * (limit + 1))


def test_dates_are_those_of_the_catalogue() -> None:
    assert limits.DATE == metadata.DATE
    adapter = TypeAdapter(limits.Recorded)
    for date in ("", "2026", "2026-05", "2024-02-29", "2026-05-31T06:30", "1999-12-31T23:59:59.5Z"):
        assert adapter.validate_python(date) == date
        assert Metadata(recorded=date).problem() is None
    for wrong in ("26", "0000", "2026-13", "2026-02-30", "2026-05-31 06:30", "2026-05-31T24:00"):
        with pytest.raises(ValidationError, match="pattern"):
            adapter.validate_python(wrong)
        assert "recorded: expected a date" in str(Metadata(recorded=wrong).problem())


def test_numbers_are_those_of_the_library() -> None:
    assert limits.MAX_TAGS == metadata.MAX_TAGS
    assert limits.MAX_ID_CHARACTERS == records.MAX_ID_CHARACTERS
    assert limits.MAX_PEAK == FULL_SCALE
    assert limits.MAX_CURSOR_CHARACTERS == cursor.MAX_LETTERS
    assert limits.Sort == types.Sort
    assert limits.MOMENTS == types.MOMENTS
    names: TypeAdapter[str] = TypeAdapter(schemas.Name)
    assert names.validate_python("x" * classifiers.MAX_NAME_CHARACTERS)
    with pytest.raises(ValidationError, match="at most 100"):
        names.validate_python("x" * (classifiers.MAX_NAME_CHARACTERS + 1))


def test_schemas_import_neither_model_nor_index() -> None:
    modules = sorted(path.stem for path in SCHEMAS.glob("*.py"))
    assert len(modules) > 8
    check = (
        f"import sys, {', '.join(f'earmark.service.schemas.{name}' for name in modules)}\n"
        f"heavy = [name for name in sys.modules if name.startswith({HEAVY!r})]\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", check], env=environment(), check=True)
