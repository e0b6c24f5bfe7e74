"""Which packages make the corpus: `packages.toml`, read and checked.

Patterns are regular expressions, searched without regard to case in a sound's path in the package
(an archive inside counts as a folder).
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

FILE = Path(__file__).with_name("packages.toml")
WORDS = ("known", "all", "none")
NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
VERSION = re.compile(r"[0-9][A-Za-z0-9.+~:-]*")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Package:
    """One package, what to take of it and how its names become tags.

    `keep`, `drop`: which sounds. `rules`: (pattern, tags) that hold beside the words of names.
    `words`: of a name, the "known" ones of the lexicon, "all", or "none". `folders`: how many
    folders above the file speak too. `spoken`: where a name says what is said, not what sounds.
    `language`: its first group is a code that gives the language. `drums`: short drum words count.
    `ignore`: words and tags that mislead here. `base`: tags of every sound. `fixed`: (pattern,
    tags, most) have these tags and nothing else. `most_alike`: so many clips of one set of tags.
    `licence` is what holds where the copyright file names no files; `licences`: (pattern,
    licence) where it cannot be read by a program.
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

    def wants(self, path: str) -> bool:
        """Whether a sound is to be taken."""
        if any(re.search(pattern, path, re.IGNORECASE) for pattern, _, _ in self.fixed):
            return True
        dropped = self.drop and re.search(self.drop, path, re.IGNORECASE)
        return not dropped and re.search(self.keep, path, re.IGNORECASE) is not None

    def digest(self) -> str:
        """Changes when the package is to be built anew."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def read_packages(file: Path | None = None) -> tuple[Package, ...]:
    """The packages of `FILE`, or of another, in its order. Raises CorpusError, naming the fault."""
    file = file or FILE
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


def chosen(packages: tuple[Package, ...], names: list[str]) -> tuple[Package, ...]:
    """Those of the names, all without any. Raises CorpusError for a name that is not there."""
    known = {package.name for package in packages}
    unknown = sorted(set(names) - known)
    if unknown:
        raise CorpusError(
            f"--package: unknown: {', '.join(unknown)}; expected of {', '.join(sorted(known))}"
        )
    return tuple(each for each in packages if not names or each.name in names)


def _package(file: Path, entry: dict[str, Any]) -> Package:
    name = entry.get("name", "?")

    def expect(right: object, what: str) -> None:
        if not right:
            raise CorpusError(f"{file}: {name}: {what}")

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
    expect(package.words in WORDS, f"words: expected {', '.join(WORDS)}, got {package.words!r}")
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
