"""Turns names of files and folders into tags, by a lexicon and each package's rules.

A name is split into words at non-letters and at capitals ("FootStepGrass"). A word gives tags when
the lexicon has it: as it is, in the singular, joined with the next word ("foot", "step"), or split
in two ("metalhit"). Tags bring their parents (dog → mammal → animal).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

from earmark.training.corpora.debian.packages import Package
from earmark.training.errors import CorpusError

LEXICON_FILE = Path(__file__).with_name("lexicon.toml")
MIN_WORD_LETTERS = 3  # of a part of a compound, or of a tag that is not in the lexicon


class Lexicon:
    """The tags of words, and the direct parents of tags."""

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
        values = (*parents.values(), *words.values())
        tags = {*parents, *(tag for word_tags in values for tag in word_tags)}
        # Each tag is a word for itself.
        tag_words = {tag.replace("-", ""): (tag,) for tag in sorted(tags | plain)}
        self.words = {
            word: word_tags for word, word_tags in tag_words.items() if word not in drums
        } | words

    def with_parents(self, tags: Iterable[str]) -> list[str]:
        """The tags and all of their ancestors, each once, the given ones first."""
        all_tags = list(dict.fromkeys(tags))
        for tag in all_tags:  # parents are appended during the loop, and visited too
            parents = self.parents.get(tag, ())
            all_tags += [parent for parent in parents if parent not in all_tags]
        return all_tags

    def tags_of_name(
        self, name: str, *, drums: bool = False, all_words: bool = False, ignore: Sequence[str] = ()
    ) -> list[str]:
        """The tags of a name's words, without parents."""
        words = split_words(name)
        lexicon = self.words | self.drums if drums else self.words
        tags: list[str] = []
        index = 0
        while index < len(words):
            word = words[index]
            compound = word + words[index + 1] if index + 1 < len(words) else ""
            if compound in lexicon and compound not in ignore:
                tags += lexicon[compound]
                index += 2
                continue
            index += 1
            if word not in ignore:
                tags += _word_tags(word, lexicon) or self._word_as_tag(word, all_words)
        return [tag for tag in dict.fromkeys(tags) if tag not in ignore]

    def _word_as_tag(self, word: str, all_words: bool) -> tuple[str, ...]:
        return (
            (word,)
            if all_words and len(word) >= MIN_WORD_LETTERS and word not in self.silent
            else ()
        )


def split_words(name: str) -> list[str]:
    """A name's words, in lower case."""
    name = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", name)
    return [word.lower() for word in re.split(r"[\W\d_]+", name) if len(word) > 1]


def _word_tags(word: str, lexicon: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The tags of a word: as it is, in the singular, or as a compound of two words."""
    singular = [word[: -len(end)] + new for end, new in ENDINGS.items() if word.endswith(end)]
    for form in (word, *singular):
        if form in lexicon:
            return lexicon[form]
    for cut in range(MIN_WORD_LETTERS, len(word) - MIN_WORD_LETTERS + 1):
        if word[:cut] in lexicon and word[cut:] in lexicon:
            return lexicon[word[:cut]] + lexicon[word[cut:]]
    return ()


ENDINGS = {"ies": "y", "es": "", "s": ""}


@cache
def read_lexicon(file: Path = LEXICON_FILE) -> Lexicon:
    """Read the lexicon. Raises CorpusError for a word that is listed twice."""
    tables = tomllib.loads(file.read_text(encoding="utf-8"))

    def by_word(table: dict[str, str], *, of_key: bool) -> dict[str, tuple[str, ...]]:
        tags_of_word: dict[str, tuple[str, ...]] = {}
        for key, value in table.items():
            tags, words = (key, value) if of_key else (value, key)
            for word in words.split():
                if word in tags_of_word and of_key:
                    raise CorpusError(f"{file}: {word!r} is explained twice")
                tags_of_word[word] = tags_of_word.get(word, ()) + tuple(tags.split())
        return tags_of_word

    return Lexicon(
        by_word(tables["parents"], of_key=False),
        by_word(tables["words"], of_key=True),
        by_word(tables["drums"], of_key=True),
        frozenset(tables["plain"]["tags"].split()),
        frozenset(tables["silent"]["words"].split()),
        tables["languages"],
    )


def tags_of(package: Package, path: str, lexicon: Lexicon) -> list[str]:
    """The tags of a sound, by its path in the package; none when no word or rule gives any."""

    def matches(pattern: str) -> bool:
        return re.search(pattern, path, re.IGNORECASE) is not None

    for pattern, given, _ in package.fixed:
        if matches(pattern):
            return lexicon.with_parents(given.split())
    ignore = package.ignore.split()
    tags = [tag for pattern, given in package.rules if matches(pattern) for tag in given.split()]
    code = re.search(package.language, path) if package.language else None
    if code is not None:
        tags += [lexicon.languages[code[1]]] if code[1] in lexicon.languages else []
    if package.words != "none" and not (package.spoken and matches(package.spoken)):
        *folders, file = PurePosixPath(path).parts
        names = [*folders[len(folders) - package.folders :], PurePosixPath(file).stem]
        for name in names:
            tags += lexicon.tags_of_name(
                name, drums=package.drums, all_words=package.words == "all", ignore=ignore
            )
    if not tags:
        return []
    all_tags = [tag for tag in lexicon.with_parents(tags) if tag not in ignore]
    return lexicon.with_parents([*all_tags, *package.base.split()])
