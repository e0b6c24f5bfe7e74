"""Addresses of files in stores: `s3://bucket/folder/sound.wav`, `gs://…`, `sftp://host/folder/…`.

An address is `SCHEME://PLACE/KEY`. The key stands as the store has it, nothing is escaped in it.
Who may read it is no part of an address: credentials come from where the store's own tools look.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from earmark.model.core.errors import InputError

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SAME = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}
_BUCKETS = frozenset(("s3", "gs"))  # in whose addresses no user stands
# Of this machine, or of one process, or of the web, where no folder can be listed, or
# in other files.
REFUSED = frozenset(
    (
        *("file", "local", "asynclocal", "memory", "http", "https", "jupyter", "jlab", "data"),
        *("dir", "generic", "reference"),
        *("zip", "tar", "libarchive", "cached", "simplecache", "filecache", "blockcache", "git"),
    )
)
_NO_SECRETS = "put no password or key into an address: credentials come from the store's own places"


def is_address(text: str) -> bool:
    """Whether a text is an address rather than a path."""
    return _ADDRESS.match(text) is not None


def scheme_of(address: str) -> str:
    """What an address begins with: `s3`."""
    return address.partition("://")[0]


def store_of(address: str) -> str:
    """The store of an address: `s3://bucket`."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def checked_address(text: str) -> str:
    """An address that a person gives, as it is kept: the scheme in small letters, no `/` at its
    end. Raises InputError, whose message never repeats what may be a secret."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise InputError("address: expected one such as s3://bucket/folder")
    scheme = _SAME.get(found[1].lower(), found[1].lower())
    place, _, key = found[2].partition("/")
    _check_secrets(scheme, place, key)
    if scheme in REFUSED:
        raise InputError(
            f"address: expected one of a store, such as s3://bucket/folder, got {scheme}://"
        )
    if "::" in place + "/" + key:
        raise InputError("address: expected a single one, got several joined by ::")
    if not place or not text.isprintable():
        raise InputError(f"address: expected a place after {scheme}://, in printable characters")
    return f"{scheme}://{place}/{key}".rstrip("/")


def _check_secrets(scheme: str, place: str, key: str) -> None:
    user, at, host = unquote(place).rpartition("@")
    # A password may hold a slash, and then stands in the place by half.
    is_port = re.fullmatch(r"[^:]*(:\d+)?", host) and (":" not in host or scheme not in _BUCKETS)
    if ":" in user or not is_port or (at and scheme in _BUCKETS):
        raise InputError(f"address: {_NO_SECRETS}; got one with such a part before the place")
    if re.search(r"\?[^/?]*=", f"{place}/{key}"):
        raise InputError(f"address: {_NO_SECRETS}; got a query (?…=…), expected the key alone")
