"""Names of files and folders → tags, by a lexicon and each package's rules.

A name is cut into words at what is no letter and at capitals ("FootStepGrass"). A word gives tags
when the lexicon knows it, in the singular too, joined with the next ("foot", "step") or cut in
two ("metalhit"). Tags bring their parents (dog → mammal → animal).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

from earmark.training.corpora.debian.packages import Package
from earmark.training.errors import CorpusError

FILE = Path(__file__).with_name("lexicon.toml")
SHORTEST = 3  # letters of a word that may be part of another, or a tag without the lexicon


class Lexicon:
    """What words mean; `parents` are direct ones."""

    def __init__(
        self,
        parents: dict[str, tuple[str, ...]],
        words: dict[str, tuple[str, ...]],
        drums: dict[str, tuple[str, ...]],
        plain: frozenset[str],
        silent: frozenset[str],
        languages: dict[str, str],
    ) -> None:
        self.parents = parents
        self.drums = drums
        self.silent = silent
        self.languages = languages
        tags = {*parents, *(tag for own in (*parents.values(), *words.values()) for tag in own)}
        own_names = {tag.replace("-", ""): (tag,) for tag in sorted(tags | plain)}
        self.words = {word: own for word, own in own_names.items() if word not in drums} | words

    def with_parents(self, tags: Iterable[str]) -> list[str]:
        """The tags and all above them, each once, the given ones first."""
        found = list(dict.fromkeys(tags))
        for tag in found:  # grows as it is read
            found += [parent for parent in self.parents.get(tag, ()) if parent not in found]
        return found

    def of_name(
        self, name: str, *, drums: bool = False, all_words: bool = False, ignore: Sequence[str] = ()
    ) -> list[str]:
        """The tags that a name's words give, without parents."""
        words = split_words(name)
        known = self.words | self.drums if drums else self.words
        found: list[str] = []
        place = 0
        while place < len(words):
            word = words[place]
            joined = word + words[place + 1] if place + 1 < len(words) else ""
            if joined in known and joined not in ignore:
                found += known[joined]
                place += 2
                continue
            place += 1
            if word not in ignore:
                found += _meaning(word, known) or self._itself(word, all_words)
        return [tag for tag in dict.fromkeys(found) if tag not in ignore]

    def _itself(self, word: str, all_words: bool) -> tuple[str, ...]:
        return (word,) if all_words and len(word) >= SHORTEST and word not in self.silent else ()


def split_words(name: str) -> list[str]:
    """A name's words, in lower case."""
    name = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", name)
    return [word.lower() for word in re.split(r"[\W\d_]+", name) if len(word) > 1]


def _meaning(word: str, known: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What a word gives: as it is, in the singular, or as two words in one."""
    singular = [word[: -len(end)] + new for end, new in ENDINGS.items() if word.endswith(end)]
    for form in (word, *singular):
        if form in known:
            return known[form]
    for cut in range(SHORTEST, len(word) - SHORTEST + 1):
        if word[:cut] in known and word[cut:] in known:
            return known[word[:cut]] + known[word[cut:]]
    return ()


ENDINGS = {"ies": "y", "es": "", "s": ""}


@cache
def read_lexicon(file: Path = FILE) -> Lexicon:
    """The lexicon. Raises CorpusError for a word that is explained twice."""
    tables = tomllib.loads(file.read_text(encoding="utf-8"))

    def by_word(table: dict[str, str], *, of_key: bool) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for key, value in table.items():
            tags, words = (key, value) if of_key else (value, key)
            for word in words.split():
                if word in found and of_key:
                    raise CorpusError(f"{file}: {word!r} is explained twice")
                found[word] = found.get(word, ()) + tuple(tags.split())
        return found

    return Lexicon(
        by_word(tables["parents"], of_key=False),
        by_word(tables["words"], of_key=True),
        by_word(tables["drums"], of_key=True),
        frozenset(tables["plain"]["tags"].split()),
        frozenset(tables["silent"]["words"].split()),
        tables["languages"],
    )


def tags_of(package: Package, path: str, lexicon: Lexicon) -> list[str]:
    """The tags of a sound, by its path in the package; none when nothing is known of it."""

    def matches(pattern: str) -> bool:
        return re.search(pattern, path, re.IGNORECASE) is not None

    for pattern, tags, _ in package.fixed:
        if matches(pattern):
            return lexicon.with_parents(tags.split())
    ignore = package.ignore.split()
    found = [tag for pattern, tags in package.rules if matches(pattern) for tag in tags.split()]
    code = re.search(package.language, path) if package.language else None
    if code is not None:
        found += [lexicon.languages[code[1]]] if code[1] in lexicon.languages else []
    if package.words != "none" and not (package.spoken and matches(package.spoken)):
        *folders, file = PurePosixPath(path).parts
        names = [*folders[len(folders) - package.folders :], PurePosixPath(file).stem]
        for name in names:
            found += lexicon.of_name(
                name, drums=package.drums, all_words=package.words == "all", ignore=ignore
            )
    if not found:
        return []
    all_tags = [tag for tag in lexicon.with_parents(found) if tag not in ignore]
    return lexicon.with_parents([*all_tags, *package.base.split()])
