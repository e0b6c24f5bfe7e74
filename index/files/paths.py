"""One spelling of each path, and what has become of the file there.

A file's spelling is its real path: all links are resolved, those to folders and one to the file. Of
a link to nothing it is the real path of the folder, with the link's name. The catalogue holds paths
in this spelling only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path, PurePath

from earmark.model.cloud.addresses import is_address

_GONE = (errno.ENOENT, errno.ENOTDIR)
_ESCAPED = re.compile(r"\\udc([89a-f][0-9a-f])")


def real_folder(folder: Path) -> Path:
    """The real path of a folder, which need not exist."""
    return Path(os.path.realpath(folder))


def spelling(path: Path) -> Path:
    """The spelling of a file's path; the file need not exist."""
    if path.name in ("", ".."):
        return real_folder(path)
    return followed(real_folder(path.parent) / path.name)


def followed(path: Path) -> Path:
    """Where a path in a real folder leads: to itself, unless it is a link to something."""
    if is_link(path):
        with contextlib.suppress(OSError):
            return Path(os.path.realpath(path, strict=True))
    return path


def is_link(path: Path) -> bool:
    """Whether a link is there; False where that cannot be known."""
    return os.path.islink(path)  # noqa: PTH114 (pathlib's raises OSError)


def is_folder(path: Path) -> bool:
    """Whether a folder is there; False where that cannot be known."""
    return os.path.isdir(path)  # noqa: PTH112 (pathlib's raises OSError)


def is_file(path: Path) -> bool:
    """Whether a regular file is there; False where that cannot be known."""
    return os.path.isfile(path)  # noqa: PTH113 (pathlib's raises OSError)


def is_gone(path: str) -> bool:
    """Whether nothing is at the path, or only a link to nothing.

    False where that cannot be known: a folder on the way may not be searched, a disk is broken, or
    it is the address of a file in a store, which is not asked for each.
    """
    if is_address(path):
        return False
    try:
        os.stat(path)  # noqa: PTH116 (many are asked for, and a Path takes longer than this)
    except OSError as error:
        return error.errno in _GONE
    except ValueError:  # no path can hold a null character
        return True
    return False


def displaced_path(path: str, clip_id: str) -> str:
    """The path of a clip whose file was replaced by another clip's: nothing can be there."""
    return f"{path}/{clip_id.replace('/', '_')}/{PurePath(path).name}"


def own_path(path: str, clip_id: str) -> str:
    """The path that a clip's file had, also of a displaced one: the inverse of `displaced_path`."""
    before = path.rsplit("/", 2)[0]
    return before if path == displaced_path(before, clip_id) else path


def from_printable(text: str) -> str:
    """The path that `printable_path` made a text of."""
    return _ESCAPED.sub(lambda found: chr(int(f"dc{found[1]}", 16)), text)
