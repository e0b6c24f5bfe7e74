"""The corpus's packages: reads and checks `packages.toml`.

Patterns are regular expressions, searched case-insensitively in a sound's path in the package (an
archive inside counts as a folder).
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from earmark.training.errors import CorpusError

PACKAGES_FILE = Path(__file__).with_name("packages.toml")
WORD_RULES = ("known", "all", "none")
NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
VERSION = re.compile(r"[0-9][A-Za-z0-9.+~:-]*")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Package:
    """One package: which of its sounds to take, and how their names become tags.

    `keep`, `drop`: patterns of the sounds to take, and of those to leave. `rules`: (pattern, tags)
    that apply beside the words of names. `words`: which words of a name become tags, the "known"
    ones of the lexicon, "all", or "none". `folders`: how many folders above the file have words
    too. `spoken`: a pattern of sounds whose name is what is said, not what sounds. `language`: a
    pattern whose first group is a language code. `drums`: the lexicon's short drum words apply.
    `ignore`: words and tags that mislead here. `base`: tags of every sound. `fixed`: (pattern,
    tags, most): at most so many sounds, with these tags only. `most_alike`: at most so many clips
    of one tag set; 0 is no limit. `licence`: where the copyright file names no files; `licences`:
    (pattern, licence) where it is not machine-readable.
    """

    name: str
    version: str
    sha256: str
    licence: str
    keep: str = ""
    drop: str = ""
    words: str = "known"
    folders: int = 0
    drums: bool = False
    spoken: str = ""
    language: str = ""
    base: str = ""
    ignore: str = ""
    most_alike: int = 0
    fixed: tuple[tuple[str, str, int], ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    licences: tuple[tuple[str, str], ...] = ()

    def selects(self, path: str) -> bool:
        """Whether to take a sound."""
        if any(re.search(pattern, path, re.IGNORECASE) for pattern, _, _ in self.fixed):
            return True
        dropped = self.drop and re.search(self.drop, path, re.IGNORECASE)
        return not dropped and re.search(self.keep, path, re.IGNORECASE) is not None

    def digest(self) -> str:
        """A hash of all fields: the package is rebuilt when it changes."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def read_packages(file: Path | None = None) -> tuple[Package, ...]:
    """The packages of a file in its order. Raises CorpusError, naming the mistake."""
    file = file or PACKAGES_FILE
    try:
        entries = tomllib.loads(file.read_text(encoding="utf-8"))["package"]
        packages = tuple(_package(file, entry) for entry in entries)
    except OSError as error:
        raise CorpusError(f"{file}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
        raise CorpusError(f"{file}: expected [[package]] tables in TOML ({error})") from error
    names = [package.name for package in packages]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CorpusError(f"{file}: expected each package once, got {', '.join(twice)} twice")
    return packages


def select_packages(packages: tuple[Package, ...], names: list[str]) -> tuple[Package, ...]:
    """The packages of these names; all without names. Raises CorpusError for an unknown one."""
    available = {package.name for package in packages}
    unknown = sorted(set(names) - available)
    if unknown:
        raise CorpusError(
            f"--package: unknown: {', '.join(unknown)}; expected of {', '.join(sorted(available))}"
        )
    return tuple(package for package in packages if not names or package.name in names)


def _package(file: Path, entry: dict[str, Any]) -> Package:
    name = entry.get("name", "?")

    def expect(condition: object, message: str) -> None:
        if not condition:
            raise CorpusError(f"{file}: {name}: {message}")

    unknown = set(entry) - {field.name for field in fields(Package)}
    expect(not unknown, f"unknown: {', '.join(sorted(unknown))}")
    missing = {"name", "version", "sha256", "licence"} - set(entry)
    expect(not missing, f"expected also {', '.join(sorted(missing))}")
    listed = {key: tuple(map(tuple, value)) for key, value in entry.items() if type(value) is list}
    package = Package(**(entry | listed))
    expect(NAME.fullmatch(package.name), "expected the name of a package")
    expect(VERSION.fullmatch(package.version), f"version: got {package.version!r}")
    expect(SHA256.fullmatch(package.sha256), "sha256: expected 64 hex digits")
    expect(package.licence.strip(), "expected a licence")
    expect(
        package.words in WORD_RULES,
        f"words: expected {', '.join(WORD_RULES)}, got {package.words!r}",
    )
    expect(all(len(row) == 3 for row in package.fixed), "fixed: expected [pattern, tags, most]")
    for rows in (package.rules, package.licences):
        expect(all(len(row) == 2 for row in rows), "expected pairs in rules and licences")
    patterns = [package.keep, package.drop, package.spoken, package.language]
    patterns += [pattern for pattern, _, _ in package.fixed]
    patterns += [pattern for pattern, _ in (*package.rules, *package.licences)]
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise CorpusError(f"{file}: {name}: pattern {pattern!r}: {error}") from error
    return package
