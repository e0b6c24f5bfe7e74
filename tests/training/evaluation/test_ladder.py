"""The ladder: one split and the same queries for every row; and metrics by tag group."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from earmark.model.audio.log_mel import windows
from earmark.model.checkpoint import Checkpoint, save
from earmark.model.config import preset
from earmark.model.core.manifest import read_manifest
from earmark.model.networks.mobilenet import MobileNet
from earmark.model.networks.tag_encoder import AttentionTagEncoder
from earmark.service.cli.main import main
from earmark.training.corpora.split import split_clips
from earmark.training.distillation.efficientat import BANDS, read_teacher
from earmark.training.errors import CorpusError
from earmark.training.evaluation import frozen_features, ladder, projection, tag_groups
from earmark.training.recipe import recipe_for
from tests.model.tiny import checkpoint_of
from tests.training.tiny import (
    KINDS,
    QUICK,
    TAGS,
    features_of,
    sound,
    tiny_model,
    tiny_rows,
    words_of,
    write_corpus,
)

TEACHER = "mn04_as_mAP_432.pt"
ROWS = {"chance", "mfcc", "starter"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sets: the second is a few clips that validate, one of them broken."""
    root = tmp_path_factory.mktemp("ladder")
    (root / "first").mkdir()
    (root / "second").mkdir()
    write_corpus(root / "first", 30, 18)
    generator = np.random.default_rng(3)
    with (root / "second" / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["path", "tags", "group", "split"])
        for number in range(12):
            kind = list(KINDS)[number % 2]
            path = root / "second" / f"{number}.wav"
            soundfile.write(path, sound(kind, generator), 22_000)
            lines.writerow([path.name, " ".join(KINDS[kind]), f"s{number}", "validation"])
    (root / "second" / "3.wav").write_text("broken")
    return root


def model(folder: Path, groups: list[str], seed: int = 0) -> Path:
    checkpoint: Checkpoint = checkpoint_of(tiny_model(), seed)
    checkpoint.words = words_of(16)
    checkpoint.card["validation_groups"] = groups
    save(folder, checkpoint)
    return folder


def test_all_rows_answer_the_same_queries(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ladder, "EPOCHS", 5)
    groups = [str(number) for number in range(30, 48)]
    clean = model(folder / "clean", groups + [f"s{number}" for number in range(12)])
    other = model(folder / "other", groups, seed=1)
    command = ["evaluate", "ladder", "--data", folder / "first", "--data"]
    command += [folder / "second" / "manifest.csv", "--cache", folder / "cache", "--seed", 4]
    whole = [*command, "--seeds", 2, "--model", clean]
    assert main([*map(str, whole), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    protocol = result["protocol"]
    assert (protocol["train_clips"], protocol["clips"], protocol["unheard"]) == (30, 29, 1)
    assert (protocol["data"], protocol["seeds"]) == (["first", "second"], [4, 5])
    assert protocol["queries"] == len(TAGS)
    assert protocol["groups"] == sorted([*groups, *(f"s{number}" for number in range(12))])
    tables = result["tables"]
    assert [(part["clips"], part["queries"]) for part in tables.values()] == [
        (29, 8),
        (18, 8),
        (11, 4),  # all clips there have "steady", and none is a click
    ]
    assert list(tables) == ["all", "first", "second"]
    for part in tables.values():
        assert set(part["rows"]) == ROWS
        for row, figures in part["rows"].items():
            assert set(figures) == {" ".join(column) for column in ladder.COLUMNS}
            for figure in figures.values():
                assert 0 <= figure["mean"] <= 1
                assert len(figure["runs"]) == (2 if row == "mfcc" else 1)
                assert figure["mean"] == pytest.approx(np.mean(figure["runs"]))
                assert figure["std"] == pytest.approx(np.std(figure["runs"]))
    mfcc, chance = (tables["all"]["rows"][row]["tag_to_audio mAP@10"] for row in ("mfcc", "chance"))
    assert mfcc["mean"] > 0.9 > chance["mean"] + 0.2  # MFCCs distinguish tones, hiss and clicks
    assert result["notes"] == {}
    # Again, from the cache; a model that may have trained on some clips has a note.
    less = [*command, "--model", other, "--model", clean, "--model", other]
    assert main([*map(str, less)]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == "ladder"
    at = lines.index("all: 29 clips, 8 tags asked for")
    assert [lines[at + 2].split()[0], lines[at + 3].split()[0]] == ["chance", "mfcc"]
    noted = [line for line in lines if line.endswith("  may have trained on some of these")]
    assert len(noted) == 3
    assert all(line.startswith("  starter ") for line in noted)
    assert len([line for line in lines if line.startswith("  starter ")]) == 6


def test_the_split_is_that_of_training(folder: Path) -> None:
    clips = ladder.LadderCorpus([folder / "first"])
    assert [clip.path.name for clip in clips.validation] == [f"{n:03d}.wav" for n in range(30, 48)]
    rows = [replace(row, split="") for row in read_manifest(folder / "first")]
    with (folder / "dealt.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["path", "tags", "group"])
        lines.writerows([row.path, " ".join(row.tags), row.group] for row in rows)
    dealt = ladder.LadderCorpus([folder / "dealt.csv"])
    for side, expected in zip(
        (dealt.train, dealt.validation), split_clips(rows, recipe_for("starter").split), strict=True
    ):
        assert [clip.path for clip in side] == [clip.path for clip in expected]
    assert 0 < len(dealt.validation) < len(dealt.train)
    assert clips.validation_tags[0] == list(KINDS["tone"])
    few_words = words_of(16).keep(3)
    queries = ladder.shared_queries(clips, np.ones(18, dtype=bool), [few_words])
    assert queries.tags == sorted(few_words.words)  # a query must be known to all rows
    with pytest.raises(CorpusError, match="ladder: expected a tag with 5 clips or more, got none"):
        ladder.shared_queries(clips, np.arange(18) < 4, [])


def test_names_of_data_sets() -> None:
    paths = [Path("a/sounds"), Path("a/more/manifest.csv"), Path("mine.csv")]
    assert ladder.data_set_names(paths) == ["sounds", "more", "mine"]
    twice = [Path("a/sounds"), Path("b/sounds")]
    assert ladder.data_set_names(twice) == ["a/sounds", "b/sounds"]
    assert ladder.data_set_names([Path("all")]) == [
        str(Path("all").resolve())
    ]  # as the table of all is


def projection_data(width: int, epochs: int = 8) -> tuple[projection.ProjectionData, np.ndarray]:
    """Clips whose kind is encoded in one of `width` features."""
    rows = tiny_rows(Path("nowhere"), 48, 0)
    features = np.random.default_rng(0).standard_normal((48, width)).astype(np.float32)
    features[:, 3] = 1000 + 7 * (np.arange(48) % 3)
    data = projection.ProjectionData(
        rows, [list(row.tags) for row in rows], words_of(16), tiny_model(), QUICK
    )
    return replace(data, recipe=replace(QUICK, epochs=epochs)), features


def test_a_rung_learns_what_its_features_tell() -> None:
    some, features = projection_data(6)
    features[5] = np.nan  # a clip that could not be read
    readable = [number for number in range(48) if number != 5]
    vectors = np.stack([some.words.vector(tag) for tag in ("tone", "hiss", "click")])
    right = np.arange(48)[readable] % 3
    values = []

    def score(trained: projection.Projection) -> float:
        nearest = (trained.sounds(features[readable]) @ trained.words(vectors).T).argmax(axis=1)
        values.append(float((nearest == right).mean()))
        return values[-1]

    before = torch.get_rng_state()
    best, epoch = projection.train_projection(some, features, 3, score)
    assert torch.equal(before, torch.get_rng_state())
    assert len(values) == 8
    assert values[epoch - 1] == max(values) > 0.9
    assert score(best) == max(values)  # the chosen epoch's weights, not the last one's
    again, same = projection.train_projection(some, features, 3, score)
    assert same == epoch
    np.testing.assert_array_equal(again.sounds(features[readable]), best.sounds(features[readable]))
    np.testing.assert_allclose(
        np.linalg.norm(best.sounds(features[readable]), axis=1), 1, rtol=1e-5
    )
    with pytest.raises(CorpusError, match="training clips that can be read, got none"):
        projection.train_projection(some, np.full_like(features, np.nan), 0, score)


def test_a_rung_keeps_to_its_recipe() -> None:
    some, features = projection_data(6)
    linear = replace(some.config, audio=replace(some.config.audio, hidden=0))
    fixed = replace(some.recipe, learned_temperature=False, tagwise_weight=0.3)
    trained, _ = projection.train_projection(
        replace(some, config=linear, recipe=fixed), features, 3, lambda _: 1
    )
    assert isinstance(trained.audio, torch.nn.Linear)
    start = -np.log(fixed.temperature)
    assert [trained.scale.item(), trained.tagwise_scale.item()] == pytest.approx([start, start])
    learnt = replace(fixed, learned_temperature=True)
    trained, _ = projection.train_projection(replace(some, recipe=learnt), features, 3, lambda _: 1)
    assert isinstance(trained.audio, torch.nn.Sequential)
    assert start not in (trained.scale.item(), trained.tagwise_scale.item())


def test_a_rung_has_no_prototypes() -> None:
    """Random ones would be of no use: they begin as a teacher's names."""
    features = np.random.default_rng(0).standard_normal((9, 5)).astype(np.float32)
    rung = projection.Projection(features, preset("starter"), recipe_for("starter"))
    assert isinstance(rung.tags, AttentionTagEncoder)
    assert rung.tags.query.in_features == 512
    assert rung.words(words_of(512).vectors).shape == (len(TAGS), 384)


def test_frozen_features_are_cached(folder: Path, tmp_path: Path) -> None:
    paths = sorted((folder / "second").glob("*.wav"))
    statistics = frozen_features.mfcc_statistics(paths, tmp_path)
    assert statistics.shape == (12, frozen_features.MFCC_SIZE)
    broken = [path.name == "3.wav" for path in paths]
    assert np.isnan(statistics).all(axis=1).tolist() == broken
    [file] = tmp_path.glob("mfcc-*/*")
    written = file.stat().st_mtime_ns
    np.testing.assert_array_equal(frozen_features.mfcc_statistics(paths, tmp_path), statistics)
    assert file.stat().st_mtime_ns == written
    with pytest.raises(CorpusError, match=r"none\.wav: cannot be read"):
        frozen_features.mfcc_statistics([tmp_path / "none.wav"], tmp_path)


def test_the_teacher_is_a_rung(
    folder: Path,
    teachers: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ladder, "EPOCHS", 5)
    command = ["evaluate", "ladder", "--data", str(folder / "first"), "--json"]
    command += ["--cache", str(folder / "cache"), "--teacher", str(teachers / TEACHER)]
    assert main(command) == 0
    result = json.loads(capsys.readouterr().out)
    assert "EfficientAT mn04_as (MIT)" in result["protocol"]["frozen"]["teacher"]
    rows = result["tables"]["all"]["rows"]
    assert list(rows) == ["chance", "mfcc", "teacher"]
    taught, chance = (rows[row]["tag_to_audio mAP@10"]["mean"] for row in ("teacher", "chance"))
    assert taught > 0.9 > chance + 0.2


def test_the_teachers_code_is_the_mean_over_windows(teachers: Path) -> None:
    teacher = read_teacher(teachers / TEACHER)
    config = preset("starter").features
    features = features_of(tiny_rows(Path("nowhere"), 4, 0), config)
    lengths = np.diff(features.offsets)
    joined = np.array([0, *np.cumsum([lengths[0], 0, lengths[1] + lengths[2], lengths[3]])])
    clips = replace(features, offsets=joined)  # the second unreadable, the third of two
    codes = frozen_features.teacher_codes(teacher, clips)
    assert codes.shape == (4, 384)
    assert np.isnan(codes).all(axis=1).tolist() == [False, True, False, False]
    network = MobileNet(0.4).eval()
    network.load_state_dict(teacher.convolutions)
    frames = clips.clip(2).astype(np.float32)
    [(batch, _)] = list(windows([frames], config))
    with torch.inference_mode():
        maps = network((torch.from_numpy(batch)[:, None] - BANDS[0]) / (BANDS[1] - BANDS[0]))
    assert len(batch) > 1
    np.testing.assert_allclose(codes[2], maps.mean(dim=(0, 2, 3)).numpy(), atol=1e-4)


# By tag group


def test_groups_of_tags(tmp_path: Path) -> None:
    group_of = tag_groups.read_groups()
    assert len(set(group_of.values())) == 9
    assert group_of["dog"] == "animals"
    assert group_of["thunder"] == "weather and water"
    assert group_of["cough"] == "people and voice"
    assert all(tag == tag.lower() for tag in group_of)
    file = tmp_path / "groups.toml"
    for text, says in (
        ("[groups]\na = 'dog'\nb = 'cat dog'", "expected each tag once, got dog twice"),
        ("[other]\na = 'dog'", r"expected \[groups\] of tags in TOML"),
        ("[groups]\na = 3", r"expected \[groups\] of tags in TOML"),
        ("[groups", r"expected \[groups\] of tags in TOML"),
    ):
        file.write_text(text)
        with pytest.raises(CorpusError, match=says):
            tag_groups.read_groups(file)
    with pytest.raises(CorpusError, match=r"none\.toml: cannot be read"):
        tag_groups.read_groups(tmp_path / "none.toml")


def test_precision_by_group() -> None:
    has_tag = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=bool)
    similarity = np.array([[3, 1, 3], [2, 3, 2], [1, 2, 1]], dtype=np.float32)
    precisions = tag_groups.precision_by_group(
        ["dog", "bark", "odd"], similarity, has_tag, {"dog": "animals", "bark": "animals"}
    )
    assert precisions == {
        "animals": {"AP@10": pytest.approx((1 + 1 / 3) / 2), "tags": 2},
        tag_groups.OTHER: {"AP@10": pytest.approx(1 / 3), "tags": 1},
    }


def test_retrieval_by_group(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grouped = model(folder / "grouped", [])
    command = ["evaluate", "retrieval", "--data", str(folder / "first"), "--model", str(grouped)]
    command += ["--cache", str(folder / "cache"), "--groups"]
    assert main([*command, "--json"]) == 0
    groups = json.loads(capsys.readouterr().out)["tag_groups"]
    assert sum(group["tags"] for group in groups.values()) == len(TAGS)
    assert groups["weather and water"]["tags"] == 1  # wind
    values = [group["AP@10"] for group in groups.values()]
    assert values == sorted(values, reverse=True)


def test_options_of_other_tasks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said before any work: there is nothing in the folder."""
    none = ("--data", str(folder / "none"))
    for task, more, says in (
        ("retrieval", none, "--data: the task retrieval takes one, got several"),
        ("us8k", ("--model", "a", "--model", "b"), "--model: the task us8k takes one"),
        ("us8k", ("--teacher", "a.pt"), "--teacher: is for the task ladder, not us8k"),
        ("zero-shot", ("--seeds", "2"), "--seeds: is for the task ladder, not zero-shot"),
        ("ladder", ("--groups",), "--groups: is for the task retrieval, not ladder"),
        ("ladder", ("--seeds", "0"), "--seeds: expected at least 1, got 0"),
        ("ladder", ("--model", "mfcc"), "--model: the ladder has a row of mfcc by itself"),
        ("ladder", ("--device", "nope"), "device"),
        ("ladder", ("--confusion", "a.png"), "--confusion: the task ladder has no confusion"),
    ):
        assert main(["evaluate", task, *none, *more]) == 2
        assert says in capsys.readouterr().err
