"""Finds the licence and author of each sound in the package's copyright file.

A machine-readable copyright file (Debian's DEP-5) has paragraphs of `Files:` patterns with
`Copyright:` and `License:`; the last that matches applies. Its paths are those of the source
package, so they are matched from their ends: "data/sounds/*" matches
"usr/share/games/x/sounds/hit.ogg" by "sounds/*", unless another paragraph matches by more parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

MAX_AUTHOR_LENGTH = 120  # letters
DRUMKIT = re.compile(r"\.h2drumkit$")  # an archive that lies unpacked in the package, as a folder


@dataclass(frozen=True)
class Paragraph:
    """Patterns of files, and their licence and author."""

    files: tuple[str, ...]
    licence: str
    author: str


def paragraphs(copyright_file: str) -> list[Paragraph]:
    """The paragraphs about files; none if the copyright file is free text."""
    parsed = []
    for block in re.split(r"\n\s*\n", copyright_file):
        fields = dict(re.findall(r"^([A-Za-z-]+):((?:.*)(?:\n[ \t].*)*)", block, re.MULTILINE))
        fields = {name.lower(): value for name, value in fields.items()}
        licence = fields.get("license", "").strip().split("\n")[0].strip()
        if "files" in fields and licence:
            files = tuple(fields["files"].replace(",", " ").split())
            parsed.append(Paragraph(files, licence, _author(fields.get("copyright", ""))))
    return parsed


def paragraph_for(candidates: list[Paragraph], path: str) -> Paragraph | None:
    """The paragraph that applies to a sound; None if no pattern matches, not even "*"."""
    parts = path.split("/")
    ends = ["/".join(parts[start:]) for start in range(len(parts))]
    best, most_parts = None, -1
    for paragraph in candidates:
        parts_matched = max((_match(pattern, ends) for pattern in paragraph.files), default=-1)
        if parts_matched >= most_parts and parts_matched >= 0:
            best, most_parts = paragraph, parts_matched
    return best


def _match(pattern: str, ends: list[str]) -> int:
    """How many parts of a pattern match the path's end; 0 for "*", -1 for no match."""
    if pattern == "*":
        return 0
    pattern = DRUMKIT.sub("*/*", pattern)
    parts = pattern.removeprefix("./").strip("/").split("/")
    # A file's name alone, or the last of many folders, is no evidence.
    min_parts = min(len(parts), max(2, (len(parts) + 1) // 2 if parts[-1] == "*" else 0))
    for start in range(len(parts) - min_parts + 1):
        rest = "/".join(parts[start:])
        if any(fnmatchcase(end, rest) for end in ends) and not set(parts[start]) <= {"*", "?"}:
            return len(parts) - start
    return -1


def _author(copyright_field: str) -> str:
    """The first copyright holder, without years and symbols."""
    lines = [line.strip() for line in copyright_field.strip().split("\n")]
    first = next((line for line in lines if line), "")
    first = re.sub(r"^(copyright|\(c\)|©|[\s:,;-]|\d{4}|present)+", "", first, flags=re.IGNORECASE)
    return re.sub(r"\s*<[^>]*>", "", first).strip()[:MAX_AUTHOR_LENGTH]
