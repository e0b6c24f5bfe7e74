"""Licence and author of each sound, where the package's copyright file says so by file.

Such a file (Debian's machine-readable copyright format, DEP-5) has paragraphs of `Files:`
patterns with `Copyright:` and `License:`; of those that fit, the last counts. Its paths are those
of the source, so they are compared from their ends: "data/sounds/*" fits
"usr/share/games/x/sounds/hit.ogg" by "sounds/*", unless another fits by more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

LONGEST_AUTHOR = 120  # letters
DRUMKIT = re.compile(r"\.h2drumkit$")  # an archive that lies unpacked in the package, as a folder


@dataclass(frozen=True)
class Paragraph:
    """Files and what holds for them."""

    files: tuple[str, ...]
    licence: str
    author: str


def paragraphs(copyright_file: str) -> list[Paragraph]:
    """The paragraphs about files; none where the file is free text."""
    found = []
    for block in re.split(r"\n\s*\n", copyright_file):
        fields = dict(re.findall(r"^([A-Za-z-]+):((?:.*)(?:\n[ \t].*)*)", block, re.MULTILINE))
        fields = {name.lower(): value for name, value in fields.items()}
        licence = fields.get("license", "").strip().split("\n")[0].strip()
        if "files" in fields and licence:
            files = tuple(fields["files"].replace(",", " ").split())
            found.append(Paragraph(files, licence, _author(fields.get("copyright", ""))))
    return found


def of_sound(found: list[Paragraph], path: str) -> Paragraph | None:
    """What holds for a sound; None when nothing is said of it, not even by "*"."""
    parts = path.split("/")
    ends = ["/".join(parts[start:]) for start in range(len(parts))]
    best, best_fit = None, -1
    for paragraph in found:
        fit = max((_fit(pattern, ends) for pattern in paragraph.files), default=-1)
        if fit >= best_fit and fit >= 0:
            best, best_fit = paragraph, fit
    return best


def _fit(pattern: str, ends: list[str]) -> int:
    """How many parts of a pattern fit the end of the path; 0 for "*", -1 for no fit."""
    if pattern == "*":
        return 0
    pattern = DRUMKIT.sub("*/*", pattern)
    parts = pattern.removeprefix("./").strip("/").split("/")
    # Little is proved by a file's name alone, or by the last of many folders.
    least = min(len(parts), max(2, (len(parts) + 1) // 2 if parts[-1] == "*" else 0))
    for start in range(len(parts) - least + 1):
        rest = "/".join(parts[start:])
        if any(fnmatchcase(end, rest) for end in ends) and not set(parts[start]) <= {"*", "?"}:
            return len(parts) - start
    return -1


def _author(copyright_field: str) -> str:
    """The first holder, without years and signs."""
    lines = [line.strip() for line in copyright_field.strip().split("\n")]
    first = next((line for line in lines if line), "")
    first = re.sub(r"^(copyright|\(c\)|©|[\s:,;-]|\d{4}|present)+", "", first, flags=re.IGNORECASE)
    return re.sub(r"\s*<[^>]*>", "", first).strip()[:LONGEST_AUTHOR]
