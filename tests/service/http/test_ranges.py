"""Ranges of bytes, against a slow reading of RFC 9110."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.service.http.ranges import MAX_RANGES, byte_ranges

SPECS = st.one_of(
    st.tuples(st.integers(0, 30), st.integers(0, 30)),  # first-last
    st.tuples(st.integers(0, 30), st.none()),  # first-
    st.tuples(st.none(), st.integers(0, 30)),  # -length
)


@pytest.mark.parametrize(
    "header",
    [
        *("", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=9-5", "lines=1-2", "bytes 0-5"),
        *("bytes=0-5,x", "bytes=1-2-3", "bytes=+1-2", "bytes=0x1-2", "bytes=٣-٥", "bytes=1.5-2"),
        *("bytes=" + "9" * 5_000 + "-", "bytes=" + "0-1," * (MAX_RANGES + 1), "=0-1", "bytes=,"),
    ],
)
def test_malformed_headers_are_ignored(header: str) -> None:
    assert byte_ranges(header, 10) is None


def test_units_and_blanks_are_read_as_the_standard_has_them() -> None:
    assert byte_ranges("Bytes=0-1 ,\t3-,, -2", 10) == [(0, 1), (3, 9), (8, 9)]
    assert byte_ranges("bytes=0-" + "9" * 20, 10) == [(0, 9)]


@given(st.lists(SPECS, min_size=1, max_size=5), st.integers(0, 25))
def test_ranges_hold_the_bytes_that_are_asked_for(
    specs: list[tuple[int | None, int | None]], size: int
) -> None:
    written = [
        "-".join("" if end is None else str(end) for end in (first, last)) for first, last in specs
    ]
    found = byte_ranges("bytes=" + ", ".join(written), size)
    whole = range(size)
    expected = []
    for first, last in specs:
        if first is None:
            expected.append(list(whole[-last:]) if last else [])
        elif last is not None and last < first:
            assert found is None
            return
        else:
            expected.append(
                [byte for byte in whole if first <= byte <= (size if last is None else last)]
            )
    assert found is not None
    assert [list(range(first, last + 1)) for first, last in found] == list(filter(None, expected))


@given(st.text(max_size=40), st.integers(0, 100))
def test_nothing_breaks_it(text: str, size: int) -> None:
    for header in (text, f"bytes={text}"):
        for first, last in byte_ranges(header, size) or ():
            assert 0 <= first <= last < size
