"""File names in headers: those that clients send, and those of sounds that are sent."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_multipart.multipart import parse_options_header

from earmark.index.files.safe_names import MAX_CHARACTERS
from earmark.service.http.file_names import inline, with_plain_name

PART = 'form-data; name="file"'


def name_in(parameters: str) -> str | None:
    """The name that the service reads from a part's header."""
    _, options = parse_options_header(with_plain_name(f"{PART}; {parameters}".encode()))
    assert options[b"name"] == b"file"
    name = options.get(b"filename")
    return None if name is None else name.decode()


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ('filename="rain.wav"', "rain.wav"),
        ("filename=rain.wav", "rain.wav"),
        ('filename="Über den Dächern ….wav"', "Über den Dächern ….wav"),
        # RFC 5987
        ("filename*=UTF-8''rain%20%E2%80%A6.wav", "rain ….wav"),
        ("filename*=utf-8'de'%C3%9Cber.wav", "Über.wav"),
        ("filename*=iso-8859-1''caf%E9.wav", "café.wav"),
        ("filename*=\"UTF-8''caf%C3%A9.wav\"", "café.wav"),
        ("filename=\"cafe.wav\"; filename*=UTF-8''caf%C3%A9.wav", "café.wav"),
        ("filename*=UTF-8''caf%C3%A9.wav; filename=\"cafe.wav\"", "café.wav"),
        ("FileName*=UTF-8''a%3Bb%22c.wav", 'a;b"c.wav'),
        # of no known character set, or no such notation: the plain one
        ("filename=\"cafe.wav\"; filename*=KLINGON''caf%E9.wav", "cafe.wav"),
        ("filename=\"cafe.wav\"; filename*=UTF-8''caf%E9.wav", "cafe.wav"),
        ('filename="cafe.wav"; filename*=caf%C3%A9.wav', "cafe.wav"),
        ("filename*=UTF-8''caf%E9.wav", None),
        # percent-encoded, in part by browsers and as a whole by others
        ('filename="say %22go%22.wav"', 'say "go".wav'),
        ('filename="rain%20%E2%80%A6.wav"', "rain ….wav"),
        ("filename=rain%20roof.wav", "rain roof.wav"),
        ('filename="100% rain.wav"', "100% rain.wav"),
        ('filename="50%zz.wav"', "50%zz.wav"),
        ('filename="caf%E9.wav"', "caf%E9.wav"),
        # escaped by a backslash
        (r'filename="say \"go\".wav"', 'say "go".wav'),
        (r'filename="a \"b\" %E2%80%A6.wav"', 'a "b" ….wav'),
        (r'filename="semi;colon \"x\".wav"', 'semi;colon "x".wav'),
    ],
)  # fmt: skip
def test_names_are_read_in_any_notation(parameters: str, name: str | None) -> None:
    assert name_in(parameters) == name


@given(st.binary(max_size=60))
def test_no_header_breaks_it(value: bytes) -> None:
    for header in (value, b"form-data; filename*=" + value, b'form-data; filename="' + value):
        with_plain_name(header)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\\"), max_size=40))
def test_what_is_encoded_is_read_back(name: str) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in name.encode())
    if encoded:
        assert name_in(f"filename*=UTF-8''{encoded}") == name
        assert name_in(f'filename="{encoded}"') == name


@pytest.mark.parametrize(
    ("title", "header"),
    [
        ("Rain on the roof", 'inline; filename="Rain on the roof.ogg"'),
        ("rain.ogg", 'inline; filename="rain.ogg"'),
        ("rain.OGG", 'inline; filename="rain.ogg"'),
        ("AC/DC: \"live\" \\ 7?", 'inline; filename="AC DC live 7.ogg"'),
        ("Café", "inline; filename=\"Cafe.ogg\"; filename*=UTF-8''Caf%C3%A9.ogg"),
        ("雨", "inline; filename=\"sound.ogg\"; filename*=UTF-8''%E9%9B%A8.ogg"),
        ("100% rain", "inline; filename=\"100 rain.ogg\"; filename*=UTF-8''100%25%20rain.ogg"),
        ("../..", 'inline; filename="sound.ogg"'),
        ("", 'inline; filename="sound.ogg"'),
    ],
)  # fmt: skip
def test_a_sound_is_saved_under_its_title(title: str, header: str) -> None:
    assert inline(title, ".ogg") == header


def test_a_suffix_of_two_parts_stays_whole() -> None:
    header = 'inline; filename="Rain.selections.txt"'
    for title in ("Rain", "Rain.selections.txt"):
        assert inline(title, ".selections.txt") == header
    assert inline("x" * 200, ".selections.txt").endswith('x.selections.txt"')


@pytest.mark.parametrize("suffix", ["", ".", '.w"v', ".雨", ".a\r\nb", ".very-long-suffix"])
def test_an_odd_suffix_is_left_out(suffix: str) -> None:
    assert inline("Rain", suffix) == 'inline; filename="Rain"'


@given(st.text(max_size=300))
def test_any_title_makes_a_header_and_a_name(title: str) -> None:
    header = inline(title, ".wav")
    found = re.fullmatch(
        r"inline; filename=\"([ !#-$&-.0-9;=@-Z\[\]-~]+)\.wav\"(?:; filename\*=UTF-8''(\S+))?",
        header,
    )
    assert found is not None
    name = unquote(found[2]) if found[2] else f"{found[1]}.wav"
    assert len(name) <= MAX_CHARACTERS + len(".wav")
    assert not name.startswith(".") and not set(name) & set('/\\:*?"<>|\r\n\0')
