"""`earmark corpus thesaurus`: a small WordNet, written in WordNet's own format."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from earmark.model.text.thesaurus import Thesaurus
from earmark.service.cli.main import main
from earmark.training.corpora import wordnet
from earmark.training.corpora.thesaurus import (
    ABOVE,
    BELOW,
    BESIDE,
    DERIVED,
    EXPLAINED,
    GLOSS,
    HEAD,
    MANY,
    MAX_RELATED,
    MEANINGS,
    PARTS,
    SAME,
    build,
)
from earmark.training.errors import CorpusError

LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by\n"
SYMBOLS = {"above": "@", "below": "~", "derived": "+", "part": "%p"}


@dataclass
class Meaning:
    """A synset to be written. `to`: (symbol, the other's place, source, target)."""

    words: str
    gloss: str = "what is said of it"
    part: str = "n"
    to: list[tuple[str, int, int, int]] = field(default_factory=list)


def write(folder: Path, meanings: list[Meaning]) -> Path:
    """WordNet's eight files. A meaning's offset is 100 times its place."""
    folder.mkdir()
    for part, name in wordnet.PARTS.items():
        data, senses = [LICENCE], {}
        for place, meaning in enumerate(meanings):
            if meaning.part != part:
                continue
            words = meaning.words.split()
            for word in words:
                lemma = word.lower().removesuffix("(a)")
                senses.setdefault(lemma, []).append(f"{100 * place:08d}")
            pointers = " ".join(
                f"{symbol} {100 * other:08d} {meanings[other].part} {source:02x}{target:02x}"
                for symbol, other, source, target in meaning.to
            )
            written = " ".join(f"{word} 0" for word in words)
            frames = " 01 + 02 00" if part == "v" else ""
            data.append(
                f"{100 * place:08d} 03 {part} {len(words):02x} {written} {len(meaning.to):03d} "
                f"{pointers}{frames} | {meaning.gloss}  \n"
            )
        lines = [
            f"{lemma} {part} {len(offsets)} 2 @ ~ {len(offsets)} 0 {' '.join(offsets)}  \n"
            for lemma, offsets in sorted(senses.items())
        ]
        (folder / f"data.{name}").write_text("".join(data), encoding="latin-1")
        (folder / f"index.{name}").write_text("".join([LICENCE, *lines]), encoding="latin-1")
    return folder


ANIMAL, DOG, PUPPY, CAT, CAR, POLICE, DRUM, DRUMMER, DRUMMING, KETTLE, LOUD, BANK, BENCH = range(13)
NET = [
    Meaning("animal", to=[("~", DOG, 0, 0), ("~", CAT, 0, 0)]),
    Meaning("dog hound", to=[("@", ANIMAL, 0, 0), ("~", PUPPY, 0, 0)]),
    Meaning("puppy", "a dog that is young", to=[("@", DOG, 0, 0)]),
    Meaning("cat", to=[("@", ANIMAL, 0, 0), ("%p", DRUM, 0, 0)]),
    Meaning("car", to=[("~", POLICE, 0, 0)]),
    Meaning("police_car", to=[("@", CAR, 0, 0)]),
    Meaning("drum tympan", to=[("+", DRUMMING, 1, 1)]),
    Meaning("drummer", to=[("+", DRUMMING, 1, 1)]),
    Meaning("drum tap", part="v", to=[("+", DRUM, 1, 1)]),
    Meaning("kettle", 'pot in which water is boiled; "a dog drank from the kettle"'),
    Meaning("loud(a) Noisy", part="a", to=[("+", DRUM, 2, 2)]),
    Meaning("bank shore"),
    Meaning("bank bench", "to bench a drum"),
    Meaning("pot"),
    Meaning("water"),
    Meaning("boil", part="v"),
    # Else every word would be in too large a part of all glosses.
    *(Meaning(f"other{number}") for number in range(600)),
]
WORDS = (
    "animal dog hound puppy cat car police drum tympan drummer tap kettle loud noisy bank shore "
    "bench pot water boil"
).split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("wordnet") / "dict", NET)


@pytest.fixture(scope="module")
def related(folder: Path) -> dict[str, dict[str, float]]:
    return build(wordnet.read(folder), WORDS)


def test_the_format_is_read(folder: Path) -> None:
    net = wordnet.read(folder)
    assert len(net.synsets) == len(NET)
    assert net.senses["bank"] == {"n": (("n", "00001100"), ("n", "00001200"))}
    assert net.senses["drum"].keys() == {"n", "v"}
    loud = net.synsets["a", "00001000"]
    assert loud.words == ("loud", "noisy")  # neither marker nor capital
    assert loud.pointers == (wordnet.Pointer("+", ("n", "00000600"), 2, 2),)
    assert net.synsets["n", "00000900"].gloss == "pot in which water is boiled"


def test_each_relation_has_its_weight(related: dict[str, dict[str, float]]) -> None:
    assert related["dog"]["hound"] == SAME
    assert related["puppy"]["dog"] == ABOVE[0]
    assert related["puppy"]["animal"] == ABOVE[1]
    assert related["animal"]["dog"] == BELOW
    assert related["dog"]["cat"] == BESIDE
    assert related["cat"]["drum"] == PARTS
    assert related["drummer"]["drum"] == DERIVED
    assert related["kettle"] == {"boil": GLOSS, "pot": GLOSS, "water": GLOSS}
    assert related["water"] == {"kettle": EXPLAINED}


def test_what_is_derived_from_one_word_is_no_other_words(
    related: dict[str, dict[str, float]],
) -> None:
    assert related["noisy"]["tympan"] == DERIVED
    assert "tympan" not in related["loud"]


def test_later_meanings_and_last_words_of_collocations_weigh_less(
    related: dict[str, dict[str, float]],
) -> None:
    assert related["bank"]["shore"] == SAME
    assert related["bank"]["bench"] == pytest.approx(MEANINGS[1] * SAME)
    with_car = build_of(Meaning("van", to=[("@", 1, 0, 0)]), Meaning("police_car"), Meaning("car"))
    assert with_car["van"] == {"car": pytest.approx(HEAD * ABOVE[0])}


def build_of(*meanings: Meaning) -> dict[str, dict[str, float]]:
    """From synsets, without the way through files."""
    synsets = {}
    senses: dict[str, dict[str, tuple[wordnet.SynsetKey, ...]]] = {}
    for place, meaning in enumerate(meanings):
        words = tuple(meaning.words.split())
        pointers = tuple(
            wordnet.Pointer(symbol, ("n", str(other)), *both) for symbol, other, *both in meaning.to
        )
        synsets["n", str(place)] = wordnet.Synset(words, pointers, meaning.gloss)
        senses |= {word: {"n": (("n", str(place)),)} for word in words}
    single = [word for word in senses if "_" not in word]
    return build(wordnet.WordNet(synsets, senses), single)


def test_many_kinds_share_the_weight_and_the_number_of_words_is_limited() -> None:
    count = 2 * MANY
    kinds = [Meaning(f"kind{number:02d}") for number in range(count)]
    top = Meaning("top", to=[("~", 1 + number, 0, 0) for number in range(count)])
    weights = build_of(top, *kinds)["top"]
    assert weights == {f"kind{number:02d}": BELOW / 2 for number in range(MAX_RELATED)}


def test_words_that_explain_too_much_are_left_out() -> None:
    explained = build_of(*(Meaning(f"word{number}", "a thing") for number in range(9)),
                         Meaning("thing"))  # fmt: skip
    assert "word0" not in explained


def test_circles_end() -> None:
    weights = build_of(
        Meaning("one", to=[("~", 1, 0, 0), ("@", 1, 0, 0)]),
        Meaning("two", to=[("~", 0, 0, 0), ("@", 0, 0, 0)]),
    )
    assert weights == {"one": {"two": ABOVE[0]}, "two": {"one": ABOVE[0]}}


def test_the_command_writes_the_same_bytes_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "a.gz", tmp_path / "b.gz"]
    for file in files:
        command = ["corpus", "thesaurus", "--wordnet", str(folder), "--out", str(file), "--json"]
        assert main(command) == 0
        result = json.loads(capsys.readouterr().out)
    assert files[0].read_bytes() == files[1].read_bytes()
    loaded = Thesaurus.load(files[0])
    assert result["words"] == len(loaded)
    assert loaded.related("puppy")["dog"] == ABOVE[0]  # words of the starter model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["thesaurus"], "--wordnet: expected with thesaurus"),
        (["debian-sounds", "--wordnet", "x"], "--wordnet: expected with thesaurus"),
        (["thesaurus", "--wordnet", "nowhere"], "data.noun: cannot be read"),
    ],
)
def test_missing_options_and_files_are_refused(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["corpus", *arguments, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("data.noun", "00000100 03 n zz dog 0 000 | it\n", "data.noun:1: not in WordNet's format"),
        ("data.verb", "00000100 03 v 01 dog\n", "data.verb:1: not in WordNet's format"),
        ("index.noun", "dog n 2 0 2 0 00000100\n", "index.noun:1: not in WordNet's format"),
        ("index.noun", "dog n 1 0 1 0 99999999\n", "dog: a sense of it is in no data file"),
    ],
)
def test_other_formats_are_refused(tmp_path: Path, name: str, line: str, message: str) -> None:
    folder = write(tmp_path / "dict", [Meaning("cat"), Meaning("dog")])
    (folder / name).write_text(line)
    with pytest.raises(CorpusError, match=message):
        wordnet.read(folder)
