"""Stores: what they tell of a file, what is missing, and errors in our own words."""

from __future__ import annotations

import datetime
import sys
from typing import Any

import pytest
from fsspec.implementations.ftp import FTPFileSystem
from hypothesis import given
from hypothesis import strategies as st

from earmark.model.cloud import stores
from earmark.model.core.errors import ConfigError

WHEN = datetime.datetime(2026, 11, 30, 12, 0, 5, 250_000, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "told",
    [
        {"LastModified": WHEN},
        {"last_modified": WHEN.astimezone(datetime.timezone(datetime.timedelta(hours=2)))},
        {"updated": "2026-11-30T12:00:05.250Z"},
        {"mtime": WHEN.timestamp()},
        {"mtime": WHEN.replace(tzinfo=None)},
    ],
)
def test_a_time_is_the_same_however_it_is_told(told: dict[str, Any]) -> None:
    state = stores.state_of({"size": 7, **told})
    assert (state.st_size, state.st_mtime) == (7, int(WHEN.timestamp()))
    assert state.st_mtime_ns == int(WHEN.timestamp()) * 10**9


@pytest.mark.parametrize("name", ["what?.wav", "a?b/c.wav", "50% ##1.wav", "é ;.wav"])
def test_a_server_is_asked_for_the_very_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "filesystem", lambda _: FTPFileSystem)
    assert stores.key_of(f"ftp://host/folder/{name}") == f"/folder/{name}"


def test_what_is_made_within_a_second_differs_by_its_etag() -> None:
    one, other = (stores.state_of({"size": 7, "LastModified": WHEN, "ETag": tag}) for tag in "ab")
    assert one.st_mtime == other.st_mtime
    assert one.st_mtime_ns != other.st_mtime_ns
    assert one.st_mtime_ns // 10**9 == one.st_mtime


@given(
    told=st.dictionaries(
        st.sampled_from(("size", "ETag", "etag", "LastModified", "updated", "mtime")),
        st.none() | st.integers(0, 2**40) | st.floats(0, 1e12),
    ),
    text=st.text(max_size=30),
)
def test_whatever_a_store_tells_makes_a_state(told: dict[str, Any], text: str) -> None:
    state = stores.state_of({**told, "modified": text})
    assert state.st_size >= 0
    assert state.st_mtime_ns >= 0


@pytest.mark.parametrize(
    ("absent", "install"),
    [
        ("s3fs", "s3://: expected the package that reads it: pip install 'earmark[s3]'"),
        ("fsspec", "s3://: expected the package that reads it: pip install 'earmark[cloud]'"),
        (
            "paramiko",
            "sftp://: expected the package that reads it: pip install 'earmark[cloud]' paramiko",
        ),
    ],
)
def test_without_its_package_an_error_names_the_extra(
    absent: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.registry import _registry

    monkeypatch.setitem(sys.modules, absent, None)
    scheme = install.partition(":")[0]
    monkeypatch.delitem(_registry, scheme, raising=False)
    monkeypatch.delitem(sys.modules, "fsspec.implementations.sftp", raising=False)
    stores._filesystem.cache_clear()
    with pytest.raises(ConfigError) as caught:
        stores.filesystem(f"{scheme}://bucket/x.wav")
    assert str(caught.value) == install


@pytest.mark.parametrize(
    ("raised", "kind", "says"),
    [
        (FileNotFoundError("s3://secret"), FileNotFoundError, "No such file or directory"),
        (PermissionError("key=secret"), PermissionError, "the store does not let it be read"),
        (type("NoCredentialsError", (Exception,), {})("secret"), PermissionError, "no credentials"),
        (type("ReadTimeoutError", (Exception,), {})("secret"), TimeoutError, "does not answer"),
        (type("BotoError", (Exception,), {})("secret"), OSError, "client fails with BotoError"),
    ],
)
def test_a_failure_is_told_in_our_own_words(
    raised: Exception, kind: type[OSError], says: str
) -> None:
    with pytest.raises(kind, match=says) as caught, stores.translated_errors():
        raise raised
    assert "secret" not in str(caught.value)
