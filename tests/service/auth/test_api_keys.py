"""API keys: the file, what it never holds, changes while it is read, and the command."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from earmark.service.auth.api_keys import KeyFile, KeysError
from earmark.service.cli.main import main


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a file of keys will be."""
    return tmp_path / "keys.jsonl"


def test_a_key_is_found_by_its_secret_which_is_kept_nowhere(path: Path) -> None:
    file = KeyFile(path)
    ann, bob = file.add("ann", "write"), file.add("bob", "read")
    found = file.find(ann)
    assert found is not None
    assert (found.name, found.scope) == ("ann", "write")
    assert found.hash == hashlib.sha256(ann.encode()).hexdigest()
    assert [key.scope for key in file.read()] == ["write", "read"]
    assert len(base64.urlsafe_b64decode(ann.removeprefix("em_") + "=")) == 32
    text = path.read_text()
    assert ann not in text and bob not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for wrong in ("", "em_", ann[:-1], ann + "A", ann.upper(), found.hash, "\udcff"):
        assert file.find(wrong) is None


def test_a_reader_sees_what_another_writes_at_once(path: Path) -> None:
    writer, reader = KeyFile(path), KeyFile(path)
    ann = writer.add("ann", "read")
    assert reader.find(ann) is not None
    bob = writer.add("bob", "read")
    assert reader.find(bob) is not None
    writer.revoke("ann")
    assert reader.find(ann) is None
    assert reader.find(bob) is not None


def test_writers_at_once_lose_no_key(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: KeyFile(path).add(f"k{n}", "read"), range(24)))
    file = KeyFile(path)
    assert len(file.read()) == 24
    assert all(file.find(secret) is not None for secret in made)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("name", "scope", "says"),
    [
        ("ann", "read", "name: expected a new one, got 'ann'"),
        ("", "read", "name: expected 1 to 40 of"),
        ("a b", "read", "name: expected 1 to 40 of .*, got 'a b'"),
        ("a\nb", "read", "name: "),
        ("x" * 41, "read", "name: "),
        ("bob", "admin", "scope: expected read or write, got 'admin'"),
    ],
)
def test_names_and_scopes_that_are_not_acceptable(
    path: Path, name: str, scope: str, says: str
) -> None:
    KeyFile(path).add("ann", "write")
    before = path.read_bytes()
    with pytest.raises(KeysError, match=says):
        KeyFile(path).add(name, scope)
    assert path.read_bytes() == before


def test_a_damaged_or_missing_file_says_where(path: Path) -> None:
    with pytest.raises(KeysError, match="expected a file made by `earmark keys add`"):
        KeyFile(path).read()
    KeyFile(path).add("ann", "write")
    line = path.read_text()
    entry = json.loads(line)
    for text, says in (
        (line + "{", "line 2: .*JSON"),
        (line + line, "line 2: 'ann' is there twice"),
        (json.dumps({**entry, "hash": "abc"}), "line 1: hash: "),
        (json.dumps({**entry, "scope": "all"}), "line 1: scope: "),
        (json.dumps({**entry, "created_at": "2026-01-01"}), "line 1: created_at: "),
        (json.dumps({**entry, "more": 1}), "line 1: more: "),
        ("\n" * 1_000_001, "at most 1000000 bytes"),
    ):
        path.write_text(text)
        with pytest.raises(KeysError, match=says):
            KeyFile(path).read()


def test_a_file_that_breaks_is_no_reason_to_go_on_with_what_it_held(path: Path) -> None:
    file = KeyFile(path)
    secret = file.add("ann", "write")
    assert file.find(secret) is not None
    path.write_text("{")
    for _ in range(2):
        with pytest.raises(KeysError, match="line 1"):
            file.find(secret)


def test_the_command(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add = ["keys", "add", "--name", "ann", "--scope", "write"]
    assert main(add) == 2
    assert "expected --keys FILE or EARMARK_KEYS" in capsys.readouterr().err
    monkeypatch.setenv("EARMARK_KEYS", str(path))
    assert main(add) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = KeyFile(path).find(out.strip())
    assert found is not None and found.name == "ann"
    assert main(add) == 2
    assert "'ann': revoke that key first" in capsys.readouterr().err
    assert main(["keys", "add", "--name", "b", "--scope", "all"]) == 2
    capsys.readouterr()
    assert main(["keys", "list"]) == 0
    assert capsys.readouterr().out.split("\t")[:2] == ["ann", "write"]
    assert main(["keys", "list", "--json", "--keys", str(path)]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["keys"]
    assert listed.keys() == {"name", "scope", "created_at"}
    assert main(["keys", "revoke", "bob"]) == 2
    assert "name: expected one of ann, got 'bob'" in capsys.readouterr().err
    assert main(["keys", "revoke", "ann"]) == 0
    assert KeyFile(path).read() == ()
    monkeypatch.setenv("EARMARK_KEYS", str(path / "not" / "there"))
    assert main(["keys", "list"]) == 2
    assert main(["keys", "revoke", "ann"]) == 2
