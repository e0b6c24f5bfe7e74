"""Readers of the published data sets: every row right, and what is missing said by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from earmark.model.core.manifest import ManifestRow
from earmark.training.corpora import esc50, fsd50k, gtzan, nsynth, urbansound8k
from earmark.training.corpora.detect import READERS, read_corpus
from earmark.training.corpora.files import read_json_object, read_table, require_files
from earmark.training.corpora.split import split_clips
from earmark.training.errors import CorpusError
from tests.training import datasets

MAKERS: dict[str, Callable[[Path], Path]] = {
    "UrbanSound8K": datasets.urbansound8k,
    "ESC-50": datasets.esc50,
    "GTZAN": datasets.gtzan,
    "NSynth": datasets.nsynth,
    "FSD50K": datasets.fsd50k,
}
TABLES = {
    "UrbanSound8K": "metadata/UrbanSound8K.csv",
    "ESC-50": "meta/esc50.csv",
    "FSD50K": "FSD50K.ground_truth/dev.csv",
}


def by_name(rows: list[ManifestRow]) -> dict[str, ManifestRow]:
    named = {row.path.name: row for row in rows}
    assert len(named) == len(rows)
    return named


# What is read


def test_urbansound8k(tmp_path: Path) -> None:
    rows = urbansound8k.read(datasets.urbansound8k(tmp_path, folds=2, clips=2))
    assert len(rows) == 12
    assert by_name(rows)["201-1-0-1.wav"] == ManifestRow(
        path=tmp_path / "audio" / "fold2" / "201-1-0-1.wav",
        tags=("air", "conditioner"),
        group="201",
        label="air_conditioner",
        fold="2",
    )
    assert Counter(row.fold for row in rows) == {"1": 6, "2": 6}


def test_urbansound8k_with_the_tags_of_its_sources(tmp_path: Path) -> None:
    datasets.urbansound8k(tmp_path)
    datasets.write_json(tmp_path / "US8K_tags.json", {"100": ["police", "car"], "101": []})
    rows = by_name(urbansound8k.read(tmp_path))
    assert rows["100-0-0-0.wav"].tags == ("police", "car")
    assert rows["101-1-0-0.wav"].tags == ("air", "conditioner")  # none given: its class's words
    assert rows["202-2-0-0.wav"].tags == ("jackhammer",)


def test_esc50_and_its_part_of_ten(tmp_path: Path) -> None:
    datasets.esc50(tmp_path, folds=2, clips=2)
    rows = esc50.read(tmp_path)
    assert len(rows) == 12
    assert by_name(rows)["2-2012-A-2.wav"] == ManifestRow(
        path=tmp_path / "audio" / "2-2012-A-2.wav",
        tags=("clock", "alarm"),
        group="2012",
        label="clock_alarm",
        fold="2",
    )
    ten = esc50.read(tmp_path, only_esc10=True)
    assert ten == [row for row in rows if row.label in ("dog", "rain")]
    assert len(ten) == 8


def test_gtzan_by_the_filtered_lists(tmp_path: Path) -> None:
    rows = gtzan.read(datasets.gtzan(tmp_path, train=2, test=1))
    assert len(rows) == 9  # of 12: one of each genre is in no list
    assert by_name(rows)["metal.00002.wav"] == ManifestRow(
        path=tmp_path / "genres" / "metal" / "metal.00002.wav",
        tags=("metal",),
        group="metal.00002",
        label="metal",
        split="test",
    )
    assert Counter(row.split for row in rows) == {"train": 6, "test": 3}


def test_gtzan_in_its_first_format(tmp_path: Path) -> None:
    datasets.gtzan(tmp_path, ending="au")
    datasets.write_sound(tmp_path / "genres" / "metal" / "metal.00001.wav", "hiss", 5)
    (tmp_path / "genres" / "metal" / "metal.00001.au").unlink()
    rows = gtzan.read(tmp_path)
    assert Counter(row.path.suffix for row in rows) == {".au": 8, ".wav": 1}
    assert "metal.00001.wav" in by_name(rows)
    assert "metal.00000.au" in by_name(rows)


def test_nsynth_by_the_balanced_list(tmp_path: Path) -> None:
    rows = nsynth.read(datasets.nsynth(tmp_path, train=2, test=1))
    assert Counter((row.split, row.label) for row in rows) == {
        **{("train", family): 2 for family in datasets.FAMILIES},
        **{("test", family): 1 for family in datasets.FAMILIES},
    }
    assert by_name(rows)["organ_acoustic_002-060-100.wav"] == ManifestRow(
        path=tmp_path / "nsynth-test" / "audio" / "organ_acoustic_002-060-100.wav",
        tags=("organ",),
        group="organ_acoustic_002",
        label="organ",
        split="test",
    )
    # On disk, but not of the list; and the family that the paper leaves out.
    assert "organ_acoustic_003-060-100.wav" not in by_name(rows)
    assert not any("synth_lead" in row.path.name for row in rows)


def test_the_papers_balanced_list(shared: Path, tmp_path: Path) -> None:
    """20,000 notes of the ten families: all of them would be looked for."""
    datasets.nsynth(tmp_path)
    listed = shared / "reference" / "nsynth_selected_sounds_per_class.json"
    (tmp_path / listed.name).write_bytes(listed.read_bytes())
    assert set(nsynth.FAMILIES) == set(read_json_object(listed))
    with pytest.raises(CorpusError, match=r"NSynth: (\d+) of (\d+) sounds missing") as caught:
        nsynth.read(tmp_path)
    missing = int(str(caught.value).split()[1])
    assert missing == sum(map(len, read_json_object(listed).values())) > 19_000


def test_fsd50k_without_and_with_the_users_tags(tmp_path: Path) -> None:
    datasets.fsd50k(tmp_path)
    plain = ManifestRow(
        path=tmp_path / "FSD50K.dev_audio" / "1234.wav",
        tags=("rain", "water-tap-and-faucet"),
        group="1234",
        split="train",
    )
    rows = fsd50k.read(tmp_path)
    assert rows[0] == plain
    assert [row.split for row in rows] == ["train", "validation", "train"]
    metadata = {"title": "Wet", "tags": ["storm", "rain"], "license": "CC0", "uploader": "ann"}
    datasets.write_json(tmp_path / fsd50k.INFO, {"1234": metadata, "56": {"tags": ["bark"]}})
    rows = fsd50k.read(tmp_path)
    assert rows[0].tags == ("rain", "water-tap-and-faucet", "storm")
    assert (rows[0].title, rows[0].group, rows[0].licence) == ("Wet", "ann", "CC0")
    assert (rows[1].tags, rows[1].group) == (("dog", "bark"), "56")
    assert rows[2].tags == ("siren",)


# Which reader


@pytest.mark.parametrize("name", MAKERS)
def test_the_folder_says_which_reader(tmp_path: Path, name: str) -> None:
    root = MAKERS[name](tmp_path)
    rows = read_corpus(root)
    assert rows == READERS[name][1](root)
    assert all(row.path.is_file() and row.tags and row.group for row in rows)


def test_a_manifest_comes_first(tmp_path: Path) -> None:
    datasets.urbansound8k(tmp_path)
    manifest = datasets.write_table(tmp_path / "manifest.csv", "path,tags", [["a.wav", "rain"]])
    mine = [ManifestRow(path=tmp_path / "a.wav", tags=("rain",), group="a.wav")]
    assert read_corpus(tmp_path) == mine
    assert read_corpus(manifest) == mine


def test_captions_are_tags_where_there_are_no_others(tmp_path: Path) -> None:
    line = '{"file_name": "a.wav", "caption": ["A dog barks", "Barking in the rain"]}'
    (tmp_path / "metadata.jsonl").write_text(line)
    [row] = read_corpus(tmp_path)
    assert row.tags == ("dog", "bark", "barking", "rain")
    assert row.description == "A dog barks\nBarking in the rain"


def test_an_audio_folder_with_a_folder_for_each_split(tmp_path: Path) -> None:
    for folder, line in (
        ("train", "a.wav,rain,"),
        ("dev", "a.wav,wind,"),
        ("test", "b.wav,x,train"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "metadata.csv").write_text(f"file_name,label,split\n{line}\n")
    rows = read_corpus(tmp_path)
    assert [(row.path.parent.name, row.split, row.tags) for row in rows] == [
        ("train", "train", ("rain",)),
        ("dev", "validation", ("wind",)),
        ("test", "train", ("x",)),
    ]
    assert {row.group for row in rows} == {"train/a.wav", "dev/a.wav", "test/b.wav"}


def test_an_unknown_folder_is_refused_with_the_known_formats(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"expected manifest\.csv, .*, or a data set by") as it:
        read_corpus(tmp_path)
    for name, (mark, _) in READERS.items():
        assert f"{mark} ({name})" in str(it.value)


# What is missing or broken


@pytest.mark.parametrize("name", MAKERS)
def test_missing_sounds_are_counted_and_named(tmp_path: Path, name: str) -> None:
    root = MAKERS[name](tmp_path)
    rows = READERS[name][1](root)
    trained = [row.path for row in rows if "nsynth-test" not in row.path.parts]
    gone = trained[1:3]
    for path in gone:
        path.unlink()
    message = f"^{name}: 2 of {len(rows)} sounds missing: {gone[0]}, {gone[1]}$"
    with pytest.raises(CorpusError, match=message):
        read_corpus(root)


@pytest.mark.parametrize(("count", "more"), [(5, ""), (6, " and 1 more"), (40, " and 35 more")])
def test_only_five_are_named(tmp_path: Path, count: int, more: str) -> None:
    present = ManifestRow(datasets.write_sound(tmp_path / "there.wav", "tone", 1))
    lost = [ManifestRow(Path(f"{number}.wav")) for number in range(count)]
    named = "0.wav, 1.wav, 2.wav, 3.wav, 4.wav"
    message = f"^some: {count} of {count + 1} sounds missing: {named}{more}$"
    with pytest.raises(CorpusError, match=message):
        require_files([present, *lost], "some")
    assert require_files([present], "some") == [present]


def test_a_data_set_without_a_sound(tmp_path: Path) -> None:
    columns = "slice_file_name,fsID,fold,class"
    datasets.write_table(tmp_path / "metadata" / "UrbanSound8K.csv", columns, [])
    with pytest.raises(CorpusError, match=r"^UrbanSound8K: expected sounds, got none$"):
        read_corpus(tmp_path)


@pytest.mark.parametrize("name", TABLES)
def test_tables_without_a_column(tmp_path: Path, name: str) -> None:
    root = MAKERS[name](tmp_path)
    file = root / TABLES[name]
    first, rest = file.read_text().split("\n", 1)
    file.write_text(first.replace("fold", "fould").replace("split", "splat") + "\n" + rest)
    column = "split" if name == "FSD50K" else "fold"
    with pytest.raises(CorpusError, match=f"{file.name}: expected the columns {column}$"):
        read_corpus(root)
    file.write_text("")
    with pytest.raises(CorpusError, match=f"{file.name}: expected the columns .*, "):
        read_corpus(root)


@pytest.mark.parametrize("name", TABLES)
def test_tables_that_are_none(tmp_path: Path, name: str) -> None:
    root = MAKERS[name](tmp_path)
    file = root / TABLES[name]
    file.write_bytes(file.read_bytes() + b"\xff\xfe,1\n")
    with pytest.raises(CorpusError, match=f"{file.name}: not a CSV file in UTF-8"):
        read_corpus(root)
    file.write_text(file.read_text(errors="ignore") + '"' + "x" * 200_000)
    with pytest.raises(CorpusError, match=f"{file.name}: not a CSV file in UTF-8"):
        read_corpus(root)
    file.unlink()
    file.mkdir()
    with pytest.raises(CorpusError, match=f"{file.name}: cannot be read "):
        read_corpus(root)


def test_rows_that_are_too_short_or_too_long(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a,b\n1\n1,2,3\n\n", encoding="utf-8-sig")
    rows = read_table(file, ["a", "b"])
    assert [(row["a"], row["b"]) for row in rows] == [("1", ""), ("1", "2")]


@pytest.mark.parametrize("split", ["train", "test"])
def test_gtzan_without_a_list(tmp_path: Path, split: str) -> None:
    file = datasets.gtzan(tmp_path) / f"{split}_filtered.txt"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match=f"GTZAN: .*{file.name} is not text in UTF-8"):
        read_corpus(tmp_path)
    file.unlink()
    with pytest.raises(CorpusError, match=f"GTZAN: .*{file.name} cannot be read"):
        read_corpus(tmp_path)


def test_nsynth_without_notes_to_test(tmp_path: Path) -> None:
    datasets.nsynth(tmp_path)
    for note in (tmp_path / "nsynth-test" / "audio").iterdir():
        note.unlink()
    with pytest.raises(CorpusError, match=r"NSynth: no notes in .*nsynth-test/audio"):
        read_corpus(tmp_path)


JSON_FILES = {
    "UrbanSound8K": urbansound8k.TAGS,
    "NSynth": nsynth.SELECTED,
    "FSD50K": str(fsd50k.INFO),
}


@pytest.mark.parametrize("name", JSON_FILES)
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"100": ["a"', "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"", "not JSON"),
        (b'["100", "101"]', "expected an object, got list"),
        (b"null", "expected an object, got NoneType"),
    ],
)
def test_broken_json(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    file = MAKERS[name](tmp_path) / JSON_FILES[name]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    with pytest.raises(CorpusError, match=f"{file.name}: {says}"):
        read_corpus(tmp_path)


def test_nsynth_lists(tmp_path: Path) -> None:
    file = datasets.nsynth(tmp_path) / nsynth.SELECTED
    datasets.write_json(file, {"organ": 3})
    with pytest.raises(CorpusError, match=r"\.json: expected families with lists of notes"):
        read_corpus(tmp_path)
    file.unlink()
    with pytest.raises(CorpusError, match=r"\.json: cannot be read"):
        read_corpus(tmp_path)


@pytest.mark.parametrize("name", ["urbansound8k", "esc50", "gtzan", "nsynth", "fsd50k"])
def test_every_data_set_has_clips_to_train_and_to_validate(tmp_path: Path, name: str) -> None:
    """Also where the published split knows only train and test: tested clips stay out."""
    rows = read_corpus(getattr(datasets, name)(tmp_path))
    train, validation = split_clips(rows, "stratified")
    assert train
    assert validation
    assert all(row.tags for row in train)
    assert not any(row.split == "test" for row in (*train, *validation))
    assert len(train) + len(validation) == sum(row.split != "test" for row in rows)
