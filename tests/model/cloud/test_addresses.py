"""Addresses: what is one, how it is kept, and that no secret in one is kept or repeated."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.model.cloud.addresses import checked_address, is_address, store_of
from earmark.model.cloud.cloud_file import CloudFile, named_file, stored_file
from earmark.model.core.errors import InputError


@pytest.mark.parametrize(
    ("given_text", "kept"),
    [
        ("s3://bucket", "s3://bucket"),
        ("S3://bucket/folder/", "s3://bucket/folder"),
        ("s3a://bucket/a b/é#1?.wav", "s3://bucket/a b/é#1?.wav"),
        ("gcs://bucket/x@y:z.wav", "gs://bucket/x@y:z.wav"),
        ("sftp://ann@host:2022/home/ann/x.wav", "sftp://ann@host:2022/home/ann/x.wav"),
        ("abfs://container@account.dfs.core.windows.net/x.wav",) * 2,
    ],
)
def test_an_address_is_kept_in_one_spelling(given_text: str, kept: str) -> None:
    assert checked_address(given_text) == kept
    assert named_file(given_text) == CloudFile(kept)
    assert checked_address(kept) == kept


@pytest.mark.parametrize(
    "text",
    [
        "s3://AKID:hunter2@bucket/x.wav",
        "s3://hunter2@bucket/x.wav",
        "s3://AKID:hun/ter2@bucket/x.wav",
        "s3://AKID%3Ahunter2@bucket/x.wav",
        "sftp://ann:hunter2@host/x.wav",
        "s3://bucket/x.wav?X-Amz-Signature=hunter2",
        "az://container/x.wav?sv=1&sig=hunter2",
        "https://bucket.example.org/x.wav?sig=hunter2",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InputError, match=r"address: put no password or key into") as caught:
        checked_address(text)
    assert "hun" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file:///etc/passwd", "expected one of a store"),
        ("http://169.254.169.254/latest/meta-data", "expected one of a store"),
        ("memory://x/y.wav", "expected one of a store"),
        ("simplecache://x/y.wav", "expected one of a store"),
        ("s3://bucket/x::y.wav", "expected a single one"),
        ("s3:///x.wav", "expected a place after s3://"),
        ("s3://bucket/x\n.wav", "in printable characters"),
    ],
)
def test_what_is_no_store_is_refused(text: str, says: str) -> None:
    with pytest.raises(InputError, match=f"address: .*{says}"):
        checked_address(text)


def test_a_library_of_somebody_else_makes_nobody_ask_the_web() -> None:
    for address in ("http://169.254.169.254/x.wav", "file:///etc/passwd", "jupyter://10.0.0.1/x"):
        with pytest.raises(InputError, match="address: expected one of a store"):
            CloudFile(address).stat()


def test_paths_stay_paths() -> None:
    for text in ("/a/b.wav", "a.wav", "s3:/bucket/x.wav", "C:\\x.wav", "://x"):
        assert not is_address(text)
        assert named_file(text) == Path(text)
        assert stored_file(text) == Path(text)


@given(key=st.text(min_size=1, max_size=30))
def test_any_key_of_a_store_makes_an_address_that_is_read_back(key: str) -> None:
    file = stored_file(f"s3://bucket/{key}")
    assert isinstance(file, CloudFile)
    assert (str(file), store_of(file.address)) == (f"s3://bucket/{key}", "s3://bucket")
    assert file.name == key.rsplit("/", 1)[-1]


@given(text=st.text(max_size=40))
def test_whatever_is_given_is_kept_or_refused(text: str) -> None:
    try:
        kept = checked_address(f"s3://{text}")
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert checked_address(kept) == kept
