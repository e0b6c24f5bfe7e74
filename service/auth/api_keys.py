"""API keys: a file of JSON lines with each key's name, scope, SHA-256 and creation time.

A key is `em_` and 32 random bytes in URL-safe base64. Only its SHA-256 is stored: 256 random bits
cannot be guessed, so no slow hash is needed. A key is shown once, when it is created.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from earmark.model.core.atomic_write import write_whole
from earmark.model.core.errors import ConfigError

log = logging.getLogger(__name__)

Scope = Literal["read", "write"]
NAME = r"^[A-Za-z0-9._-]{1,40}$"
MAX_BYTES = 1_000_000


class KeysError(ConfigError):
    """The file of keys cannot be read or written, or a key's name or scope is not acceptable."""


class Key(BaseModel):
    """A key's record. Scope `write` includes reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=NAME)]
    scope: Scope
    hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    created_at: AwareDatetime


class KeyFile:
    """The keys of a file, read again when it changes: a revoked key is refused at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()

    def read(self) -> tuple[Key, ...]:
        """All keys. Raises KeysError where the file is gone or damaged."""
        try:
            found = self.path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen != self._seen:
                self._keys = _parse(self.path)
                self._seen = seen
                log.info("keys: %d read", len(self._keys))
        except OSError as error:
            raise KeysError(
                f"keys: expected a file made by `earmark keys add`, got {str(self.path)!r}: "
                f"{error.strerror}"
            ) from error
        return self._keys

    def find(self, secret: str) -> Key | None:
        """The key with this secret; comparison takes the same time however close a guess is."""
        digest = _digest(secret)
        found = None
        for key in self.read():
            if hmac.compare_digest(key.hash, digest):
                found = key
        return found

    def add(self, name: str, scope: str) -> str:
        """Create a key and return its secret, which is not stored. Raises KeysError."""
        secret = f"em_{secrets.token_urlsafe(32)}"
        fields = {
            "name": name,
            "scope": scope,
            "hash": _digest(secret),
            "created_at": datetime.now(UTC).replace(microsecond=0),
        }
        try:
            key = Key.model_validate(fields)
        except ValidationError as error:
            field = str(error.errors()[0]["loc"][0])
            expected = {"name": "1 to 40 of A-Z a-z 0-9 . _ -", "scope": "read or write"}[field]
            raise KeysError(f"{field}: expected {expected}, got {fields[field]!r}") from error
        with self._writing():
            keys = self.read() if self.path.exists() else ()
            if any(other.name == name for other in keys):
                raise KeysError(f"name: expected a new one, got {name!r}: revoke that key first")
            self._write((*keys, key))
        return secret

    def revoke(self, name: str) -> None:
        """Remove a key. Raises KeysError if there is none of that name."""
        with self._writing():
            keys = self.read()
            others = [key for key in keys if key.name != name]
            if len(others) == len(keys):
                names = ", ".join(key.name for key in keys) or "no key"
                raise KeysError(f"name: expected one of {names}, got {name!r}")
            self._write(others)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Lock out other writers: the folder is locked, as the file itself is replaced."""
        try:
            folder = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _write(self, keys: Sequence[Key]) -> None:
        lines = (key.model_dump_json().encode() + b"\n" for key in keys)
        try:
            write_whole(self.path, lines, mode=0o600)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> KeysError:
        return KeysError(f"keys: {str(self.path)!r} cannot be written: {error.strerror}")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _parse(path: Path) -> tuple[Key, ...]:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise KeysError(f"keys: {str(path)!r}: expected at most {MAX_BYTES} bytes, got more")
    keys: dict[str, Key] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            key = Key.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "the line"
            raise KeysError(
                f"keys: {str(path)!r} line {number}: {field}: {first['msg']}"
            ) from error
        if key.name in keys:
            raise KeysError(f"keys: {str(path)!r} line {number}: {key.name!r} is there twice")
        keys[key.name] = key
    return tuple(keys.values())
