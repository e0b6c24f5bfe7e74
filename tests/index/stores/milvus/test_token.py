"""Where the token for a Milvus comes from: the environment, or a file that it names."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import grpc
import numpy as np
import pytest

from earmark.index import maintenance
from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.errors import LibraryError
from earmark.index.stores.factory import TOKEN, TOKEN_FILE, open_store, token
from earmark.model.core.errors import ConfigError
from tests.index import made
from tests.index.stores.milvus import server

SECRET = "earmark:it's a 9-letter 🔑"


class Guard(grpc.ServerInterceptor):
    """Lets nobody in without the token, as a cluster with users does."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        expected = base64.b64encode(SECRET.encode()).decode()
        if dict(handler_call_details.invocation_metadata).get("authorization") == expected:
            return continuation(handler_call_details)
        return grpc.unary_unary_rpc_method_handler(
            lambda _, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure")
        )


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """A Milvus that wants the token."""
    with server.in_thread(tmp_path, Guard()) as uri:
        yield uri


def secret(folder: Path, content: bytes) -> str:
    file = folder / "milvus_token"
    file.write_bytes(content)
    return str(file)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (TOKEN, TOKEN_FILE):
        monkeypatch.delenv(name, raising=False)


def test_a_token_from_the_environment_or_a_file_or_none(tmp_path: Path) -> None:
    file = secret(tmp_path, f"{SECRET}\n".encode())
    assert token({}) == ""
    assert token({TOKEN: "", TOKEN_FILE: ""}) == ""  # as compose passes on what is not set
    assert token({TOKEN: SECRET}) == SECRET
    assert token({TOKEN_FILE: file}) == SECRET
    assert token({TOKEN_FILE: file, TOKEN: ""}) == SECRET


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a:b", "a:b"),
        (b"a:b\n", "a:b"),
        (b"a:b\r\n", "a:b"),
        (b" a:b \n", " a:b "),
    ],
)
def test_one_newline_at_the_end_of_the_file_is_no_part_of_it(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    assert token({TOKEN_FILE: secret(tmp_path, content)}) == expected


def test_both_are_refused(tmp_path: Path) -> None:
    file = secret(tmp_path, SECRET.encode())
    with pytest.raises(ConfigError, match=f"{TOKEN} and {TOKEN_FILE}: expected one") as info:
        token({TOKEN: "other:token", TOKEN_FILE: file})
    assert "other" not in str(info.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "expected a token, got an empty file"),
        (b"\n", "expected a token, got an empty file"),
        (b"a:b\nc:d\n", "expected one line, got 2"),
        (b"\n\n", "expected one line, got 2"),
        (b"a:\xff\xfe", "expected text in UTF-8"),
    ],
)
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    file = secret(tmp_path, content)
    with pytest.raises(ConfigError, match=f"{TOKEN_FILE}: {file}: {says}") as info:
        token({TOKEN_FILE: file})
    assert "a:" not in str(info.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for file, says in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=f"{TOKEN_FILE}: {file}: {says}"):
            token({TOKEN_FILE: str(file)})
    with made.public_folder() as folder:
        file = folder / "theirs"
        file.write_text(SECRET)
        file.chmod(0)
        with made.nobody(), pytest.raises(ConfigError, match=f"{file}: Permission denied"):
            token({TOKEN_FILE: str(file)})


def test_milvus_is_told_the_token_of_the_file(
    tmp_path: Path, guarded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "library"
    with closing(Catalogue.create(folder, "model", 4)) as catalogue, catalogue.write() as writer:
        writer.put(made.new_clip(seed=3))
    for content in (None, "somebody:else"):
        if content is not None:
            monkeypatch.setenv(TOKEN_FILE, secret(tmp_path, content.encode()))
        with pytest.raises(LibraryError, match="the token was refused"):
            maintenance.migrate(folder, guarded)
    monkeypatch.setenv(TOKEN_FILE, secret(tmp_path, f"{SECRET}\n".encode()))
    assert maintenance.migrate(folder, guarded) == 1
    with closing(Catalogue.open(folder)) as catalogue:
        with closing(open_store(catalogue)) as store:
            assert store.load(folder / "none")
            rows, _ = store.search(made.vector(3), 1)
            np.testing.assert_array_equal(rows, [1])
        monkeypatch.setenv(TOKEN_FILE, str(tmp_path / "gone"))
        with pytest.raises(ConfigError, match="No such file"):
            open_store(catalogue)


def test_the_command_says_it_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    Catalogue.create(folder, "model", 4).close()
    arguments = ("migrate", "http://127.0.0.1:9", "--library", folder)
    settings = {TOKEN: SECRET, TOKEN_FILE: "/run/secrets/milvus_token"}
    done = made.earmark(*arguments, **settings)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.endswith(f"{TOKEN} and {TOKEN_FILE}: expected one of them, got both")
    assert SECRET not in done.stderr
