"""What decides on the clips of Debian's packages: words, rules, licences and the list itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from earmark.training.corpora.debian import licences, tags
from earmark.training.corpora.debian.packages import Package, read_packages
from earmark.training.errors import CorpusError

NAMES = {
    "DogBark2": "bark dog mammal animal",
    "FootStepGrass": "footsteps walking leaves rustle",
    "footsteps_gravel-03": "footsteps walking gravel",
    "WASHING_machine": "washing-machine household machine",
    "metalhit1": "metal hit impact",
    "SeaLion": "sea-lion mammal marine animal",
    "kittens": "cat mammal animal",
    "kick": "",
    "thunderstorm_rain": "thunder storm weather nature rain water",
    "swordman_die": "sword weapon metal death",
    "churchbell": "church-bell bell",
    "xyzzy": "",
}


@pytest.mark.parametrize("name", NAMES)
def test_tags_of_names(name: str) -> None:
    lexicon = tags.read_lexicon()
    all_tags = lexicon.with_parents(lexicon.tags_of_name(name))
    assert len(all_tags) == len(set(all_tags))
    assert set(all_tags) == set(NAMES[name].split())


def test_tags_of_a_sound() -> None:
    lexicon = tags.read_lexicon()
    plain = Package("x", "1", "0" * 64, "GPL-2+", folders=1, ignore="car")
    assert tags.tags_of(plain, "a/animals/car_bird.wav", lexicon) == ["animal", "bird"]
    drums = replace(plain, drums=True, base="loud")
    assert set(tags.tags_of(drums, "kick.wav", lexicon)) == set(
        "kick bass-drum drum percussion loud".split()
    )
    assert tags.tags_of(drums, "xyzzy.wav", lexicon) == []  # nothing but the base
    spoken = replace(plain, words="all", spoken="_desc", language=r"_desc_(\w\w)\.")
    rules = (("_desc", "speech"),)
    spoken_tags = tags.tags_of(replace(spoken, rules=rules), "sounds/lion_desc_fr.ogg", lexicon)
    assert set(spoken_tags) == set("speech voice human talking french".split())
    assert "okapi" in tags.tags_of(spoken, "sounds/okapi.ogg", lexicon)
    fixed = replace(plain, fixed=(("music/", "music orchestral", 2),))
    assert tags.tags_of(fixed, "music/dog.ogg", lexicon) == ["music", "orchestral"]


def test_a_word_has_one_explanation(tmp_path: Path) -> None:
    text = tags.LEXICON_FILE.read_text().replace("[words]\n", '[words]\n"noise loud" = "puppy"\n')
    (tmp_path / "lexicon.toml").write_text(text)
    with pytest.raises(CorpusError, match="'puppy' is explained twice"):
        tags.read_lexicon(tmp_path / "lexicon.toml")


PATHS = {
    "usr/share/games/x/sounds/dog.ogg": ("GPL-2+", ""),
    "usr/share/games/x/sounds/hit.ogg": ("CC0", "Bob"),
    "usr/share/games/x/music/default/a.ogg": ("CC-BY-4.0", "Eve & Co"),
    "usr/share/games/x/default/sound/a.ogg": ("GPL-2+", ""),
    "usr/share/kits/Big Kit 1.0/snare.wav": ("CC-BY-3.0", "Kim"),
}
TERMS = """Files: *
License: GPL-2+
 and more words

Files: data/sounds/hit.ogg
Copyright: © 2001, 2004 Bob <bob@example.org>
           2005 Carol
License: CC0

Files: data/b/music/default/*
Copyright: Copyright (C) 2014-2015 Eve & Co
License: CC-BY-4.0

Files: kits/Big?Kit.h2drumkit
Copyright: Kim
License: CC-BY-3.0

License: CC0
 Its text.
"""


@pytest.mark.parametrize("path", PATHS)
def test_licences_by_file(path: str) -> None:
    paragraph = licences.paragraph_for(licences.paragraphs(TERMS), path)
    assert paragraph is not None
    assert (paragraph.licence, paragraph.author) == PATHS[path]
    assert licences.paragraphs("This is free software, under the GPL.") == []


# The packages that are named


def test_packages_file_is_valid() -> None:
    named = read_packages()
    assert len(named) >= 20
    lexicon = tags.read_lexicon()
    for package in named:
        assert len(package.sha256) == 64 and package.version and package.licence
        for text in (package.base, *(rule[1] for rule in (*package.rules, *package.fixed))):
            assert all(tag == tag.lower() and tag.strip(";,") == tag for tag in text.split())
    for tag, parents in lexicon.parents.items():
        assert tag not in lexicon.with_parents(parents), f"{tag} is above itself"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('sha256 = "abc"', "sha256: expected 64 hex digits"),
        ('licence = ""', "expected a licence"),
        ('version = "one two"', "version: got 'one two'"),
        ('keep = "("', r"pattern '\(': missing"),
        ('kepe = ""', "unknown: kepe"),
    ],
)
def test_wrong_packages_files(change: str, message: str, tmp_path: Path) -> None:
    entry = {"name": '"xy"', "version": '"1"', "sha256": f'"{"0" * 64}"', "licence": '"CC0"'}
    key, _, value = change.partition(" = ")
    lines = [f"{name} = {value}" for name, value in (entry | {key: value}).items()]
    (tmp_path / "p.toml").write_text("\n".join(["[[package]]", *lines]))
    with pytest.raises(CorpusError, match=message):
        read_packages(tmp_path / "p.toml")
