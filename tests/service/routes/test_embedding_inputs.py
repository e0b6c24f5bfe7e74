"""Base64 of sounds, decoded piece by piece."""

from __future__ import annotations

import base64
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.model.core.errors import InputError
from earmark.service.routes import embedding_inputs
from earmark.service.routes.embedding_inputs import decode_base64


@pytest.fixture(scope="module", autouse=True)
def small_pieces() -> object:
    """Pieces of eight letters, so that a few are many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding_inputs, "BASE64_PIECE", 8)
        yield


@given(st.binary(min_size=1, max_size=60))
def test_what_was_encoded_comes_back(data: bytes) -> None:
    file = io.BytesIO()
    assert decode_base64(base64.b64encode(data).decode(), "input", file) == len(data)
    assert file.getvalue() == data


@given(st.text("ABCDwxyz01+/=-_ \n", max_size=40))
def test_it_takes_what_the_standard_takes_whole(text: str) -> None:
    file = io.BytesIO()
    try:
        expected = base64.b64decode(text, validate=True)
    except ValueError:
        expected = b""
    try:
        decode_base64(text, "input", file)
    except InputError as error:
        assert str(error) == "input: data: expected base64, got what is not"
        assert not expected
    else:
        assert file.getvalue() == expected


@pytest.mark.parametrize("text", ["", "A", "AA==AAAA", "AAAA AAAA", "AA-_", "ä" * 4, 7, None])
def test_what_is_none_is_refused(text: object) -> None:
    with pytest.raises(InputError, match=r"input\[2\]: data: expected base64"):
        decode_base64(text, "input[2]", io.BytesIO())
