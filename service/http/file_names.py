"""File names in the header `Content-Disposition`: of uploads, and of sounds that are sent.

Clients send a name in several ways: as it is with quotes escaped by a backslash, percent-encoded in
part (browsers: quotes and line breaks) or as a whole, or in the extended notation of RFC 5987,
`filename*=UTF-8''caf%C3%A9.wav`, which goes before the plain one.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, unquote_to_bytes

from earmark.index.files.safe_names import fit_name, fit_suffix

FALLBACK = "sound"

_PARAMETER = re.compile(rb';\s*(filename\*?)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.IGNORECASE)
_EXTENDED = re.compile(rb"([\w.:-]+)'[^']*'(.+)", re.ASCII | re.DOTALL)
_PERCENT = re.compile(rb"%[0-9A-Fa-f]{2}")


def with_plain_name(disposition: bytes) -> bytes:
    """The header of an uploaded part with its name decoded, in the plain parameter alone.

    Other headers, and names that cannot be decoded, are returned as they are.
    """
    found = {name.lower(): value for name, value in _PARAMETER.findall(disposition)}
    name = None
    if (extended := found.get(b"filename*")) is not None:
        name = _extended_name(extended.strip().strip(b'"'))
    if name is None and (plain := found.get(b"filename")) is not None:
        name = _percent_decoded(plain)
    if name is None:
        return disposition
    rest = _PARAMETER.sub(b"", disposition)
    return rest + b'; filename="' + name.replace(b"\\", rb"\\").replace(b'"', rb"\"") + b'"'


def _extended_name(value: bytes) -> bytes | None:
    """The name in UTF-8, None where the value breaks the notation."""
    if (found := _EXTENDED.fullmatch(value)) is None:
        return None
    charset, encoded = found.groups()
    try:
        return unquote_to_bytes(encoded).decode(charset.decode("ascii")).encode()
    except (LookupError, UnicodeError):
        return None


def _percent_decoded(value: bytes) -> bytes | None:
    """The name, None where nothing in it is percent-encoded text."""
    if _PERCENT.search(value) is None:
        return None
    if len(value) >= 2 and value.startswith(b'"') and value.endswith(b'"'):
        value = re.sub(rb"\\(.)", rb"\1", value[1:-1], flags=re.DOTALL)
    decoded = unquote_to_bytes(value)
    try:
        decoded.decode()
    except UnicodeDecodeError:
        return None
    return decoded


def inline(title: str, suffix: str) -> str:
    """The header of a file that is shown, and saved under its title (RFC 6266).

    A name that is not plain ASCII has a similar one beside it, for old clients.
    """
    return _disposition("inline", title, suffix)


def attachment(title: str, suffix: str) -> str:
    """The header of a file that is saved under its title; see `inline`."""
    return _disposition("attachment", title, suffix)


def _disposition(kind: str, title: str, suffix: str) -> str:
    suffix = fit_suffix(suffix)
    name = fit_name(title, suffix) or FALLBACK
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = " ".join(plain.replace("%", "").split()).strip(" .") or FALLBACK
    header = f'{kind}; filename="{plain}{suffix}"'
    if plain != name:
        header += f"; filename*=UTF-8''{quote(name + suffix, safe='')}"
    return header
