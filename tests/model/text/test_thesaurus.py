"""Related words: the file, inflected words, and what ships."""

from __future__ import annotations

import gzip
from importlib.resources import files
from pathlib import Path

import pytest

from earmark.model.core.errors import WordsError
from earmark.model.text import thesaurus
from earmark.model.text.thesaurus import INFLECTION_WEIGHT, Thesaurus

RELATED = {
    "puppy": {"dog": 0.8, "pup": 0.9, "young-dog": 0.4},
    "drum": {"percussion": 0.5},
    "bake": {"oven": 0.6},
    "drumming": {"noise": 0.3, "percussion": 0.1},
}


def test_a_file_holds_what_was_saved(tmp_path: Path) -> None:
    file, again = tmp_path / "a.gz", tmp_path / "b.gz"
    thesaurus.save(file, RELATED)
    thesaurus.save(again, dict(reversed(RELATED.items())))
    assert file.read_bytes() == again.read_bytes()
    loaded = Thesaurus.load(file)
    assert len(loaded) == len(RELATED)
    assert "puppy" in loaded
    assert "dog" not in loaded
    assert list(loaded.related("puppy").items()) == [("pup", 0.9), ("dog", 0.8), ("young-dog", 0.4)]
    assert loaded.related("nothing") == {}


@pytest.mark.parametrize(
    ("word", "base", "other"),
    [
        ("puppies", "puppy", "dog"),
        ("drums", "drum", "percussion"),
        ("drummer", "drum", "percussion"),
        ("drummed", "drum", "percussion"),
        ("baking", "bake", "oven"),
        ("baker", "bake", "oven"),
    ],
)
def test_inflected_words_have_those_of_their_base(word: str, base: str, other: str) -> None:
    related = Thesaurus.from_weights(RELATED).related(word)
    assert related[base] == INFLECTION_WEIGHT
    assert related[other] == pytest.approx(INFLECTION_WEIGHT * RELATED[base][other])


def test_an_inflected_word_keeps_its_own() -> None:
    related = Thesaurus.from_weights(RELATED).related("drumming")
    assert related["noise"] == 0.3
    assert related["percussion"] == pytest.approx(INFLECTION_WEIGHT * 0.5)  # the larger of two
    assert list(related.values()) == sorted(related.values(), reverse=True)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"no gzip", id="not gzip"),
        pytest.param(gzip.compress(b"\xff\xfe", mtime=0), id="not UTF-8"),
        pytest.param(b"\x1f\x8b\x08", id="truncated"),
    ],
)
def test_an_unreadable_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(WordsError, match="cannot be read"):
        Thesaurus.load(tmp_path / "a.gz")


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("puppy", "dog"),
        ("downpour", "rain"),
        ("locomotive", "train"),
        ("kettle", "pot"),
        ("drummer", "drum"),
        ("fireplace", "fire"),
        ("violinist", "violin"),
    ],
)
def test_what_ships_leads_from_a_word_to_what_is_meant(word: str, other: str) -> None:
    assert thesaurus.load_thesaurus().related(word)[other] >= 0.3


def test_what_ships_is_small_and_says_whose_it_is() -> None:
    folder = Path(str(files("earmark.model.wordnet")))
    assert (folder / thesaurus.FILE_NAME).stat().st_size < 1_000_000
    assert "Princeton University" in (folder / "LICENSE").read_text()
    lines = gzip.decompress((folder / thesaurus.FILE_NAME).read_bytes()).decode().splitlines()
    assert len(lines) == len(thesaurus.load_thesaurus()) > 10_000
    for line in lines:
        word, *fields = line.split("\t")
        weights = {field.rpartition(" ")[0]: int(field.rpartition(" ")[2]) for field in fields}
        assert 0 < len(weights) <= 12
        assert word not in weights
        assert all(0 < weight < 100 for weight in weights.values())
