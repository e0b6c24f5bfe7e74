"""Files that are written whole or not at all, and what killed writers leave."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from earmark.model.core.atomic_write import ABANDONED_SECONDS, write_whole


def test_all_of_it_or_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, [b"old"])

    def parts() -> Iterator[bytes]:
        yield b"ne"
        raise OSError("the source is gone")

    with pytest.raises(OSError, match="the source is gone"):
        write_whole(path, parts())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_of_killed_writers_are_removed_and_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "a[1]"
    left, under_way, other = (tmp_path / f".{name}.tmp" for name in ("a[1].9", "a[1].7", "a1.9"))
    for file in (left, under_way, other):
        file.write_bytes(b"part")
    long_ago = time.time() - 2 * ABANDONED_SECONDS
    for file in (left, other):
        os.utime(file, (long_ago, long_ago))
    write_whole(path, [b"new"])
    assert {file.name for file in tmp_path.iterdir()} == {path.name, under_way.name, other.name}
