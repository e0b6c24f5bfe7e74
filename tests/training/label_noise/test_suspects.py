"""Suspects: planted label errors are found, by fits without the clip's group; then left out."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from earmark.model.checkpoint import save
from earmark.model.core.manifest import ManifestRow, read_manifest
from earmark.model.embedder import Embedder
from earmark.model.encoders.dual import DualEmbedder
from earmark.service.cli.main import main
from earmark.training.errors import CorpusError
from earmark.training.features.cache import load_features
from earmark.training.features.encode_clips import clip_codes
from earmark.training.label_noise import confident_learning
from earmark.training.label_noise.suspects import Suspect, without_suspects, write_suspects
from tests.model.tiny import checkpoint_of
from tests.training.tiny import TAGS, tiny_model, words_of, write_corpus

Capture = pytest.CaptureFixture[str]


def test_the_rule_is_that_of_the_paper() -> None:
    """Against a loop over clips, as the paper writes it for two classes."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        has_tag = generator.random(40) < 0.3
        has_tag[:2] = True, False
        probabilities = np.where(has_tag, generator.beta(3, 2, 40), generator.beta(1, 4, 40))
        probabilities[5] = np.nan
        wrong, missing = confident_learning.find_label_errors(probabilities, has_tag)
        of_class = np.stack([1 - probabilities, probabilities])
        finite = [number for number in range(40) if number != 5]
        least = [
            np.mean([of_class[answer, number] for number in finite if has_tag[number] == answer])
            for answer in (0, 1)
        ]
        for number in range(40):
            fits = [answer for answer in (0, 1) if of_class[answer, number] >= least[answer]]
            other = 1 - int(has_tag[number])
            sure = other in fits and other == max(fits, key=lambda answer: of_class[answer, number])
            assert (wrong[number], missing[number]) == (sure and other == 0, sure and other == 1)


def test_a_tag_on_all_or_none_has_no_suspects() -> None:
    probabilities = np.array([0.1, 0.9, 0.5])
    for has_tag in (np.ones(3, bool), np.zeros(3, bool)):
        assert not np.any(confident_learning.find_label_errors(probabilities, has_tag))


def test_the_confidence_weighs_a_probability_by_the_tag_s_share() -> None:
    confidences = confident_learning.wrong_confidence(np.array([0.1, 0.9, 0.001, 0.0, 1.0]), 0.1)
    np.testing.assert_allclose(confidences, [0.5, 1 / 82, 1 / (1 + 9 / 999), 1, 0], atol=1e-7)
    assert confident_learning.wrong_confidence(np.array([0.001]), 0.001)[0] == pytest.approx(0.5)


def clips(count: int = 160) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes [n, 6], tags by their first two dimensions [n, 2], ten groups."""
    generator = np.random.default_rng(4)
    has_tag = np.stack([np.arange(count) % 4 == 0, np.arange(count) % 3 == 0], axis=1)
    codes = generator.standard_normal((count, 6)).astype(np.float32)
    codes[:, :2] += 5 * has_tag
    return codes, has_tag, np.arange(count) % 10


def test_a_clip_is_predicted_by_other_groups() -> None:
    codes, has_tag, groups = clips()
    before = confident_learning.out_of_fold_probabilities(codes, has_tag, groups, 5)
    assert before[has_tag].mean() > before[~has_tag].mean() + 0.15
    group = groups == 3
    has_tag[group] = ~has_tag[group]
    after = confident_learning.out_of_fold_probabilities(codes, has_tag, groups, 5)
    np.testing.assert_array_equal(after[group], before[group])
    assert (after[~group] != before[~group]).any()


def test_a_tag_of_one_group_is_not_predicted_there() -> None:
    codes, has_tag, groups = clips()
    has_tag[:, 0] = groups == 3
    probabilities = confident_learning.out_of_fold_probabilities(codes, has_tag, groups, 5)
    assert np.isnan(probabilities[groups == 3, 0]).all()
    assert np.isfinite(probabilities[:, 1]).all()


def test_planted_suspects_are_found() -> None:
    codes, has_tag, groups = clips()
    noise = np.random.default_rng(5).random(len(codes)) < 0.4
    lost, added = np.flatnonzero(has_tag[:, 0])[:8], np.flatnonzero(~has_tag[:, 0])[:8]
    given = has_tag.copy()
    given[lost, 0], given[added, 0] = False, True
    columns = zip(("bell", "horn", "noise"), np.column_stack([given, noise]).T, strict=True)
    names = list(columns)
    tag_sets = [[tag for tag, column in names if column[number]] for number in range(len(codes))]
    tag_sets[0].append("rare")
    assessment = confident_learning.assess_tags(
        codes, tag_sets, [f"g{group}" for group in groups], 5
    )
    assert (assessment.tags, assessment.unpredictable) == (["bell", "horn"], ["noise"])
    np.testing.assert_array_equal(assessment.has_tag, given)
    wrong, missing = confident_learning.find_label_errors(
        assessment.probabilities[:, 0], assessment.has_tag[:, 0]
    )
    # The rule asks for more than an average clip: some of the planted ones are less.
    for clips_found, planted in ((wrong, added), (missing, lost)):
        assert len(set(np.flatnonzero(clips_found)) & set(planted)) >= 5
        assert set(np.flatnonzero(clips_found)) <= set(planted)
    confidences = confident_learning.wrong_confidence(assessment.probabilities[:, 0], 0.25)
    assert confidences[added].min() > 0.5 > confidences[has_tag[:, 0] & given[:, 0]].max()


def test_a_tag_needs_clips_and_groups() -> None:
    tag_sets = [["a"] if number < 20 else ["b"] for number in range(39)]
    groups = [str(number % 4) for number in range(39)]
    assert (
        confident_learning.frequent_tags(tag_sets, groups) == []
    )  # 19 clips are not enough without it
    assert confident_learning.frequent_tags([*tag_sets, ["b"]], [*groups, "3"]) == ["a", "b"]
    groups = ["0" if group == "1" else group for group in groups]
    assert confident_learning.frequent_tags([*tag_sets, ["b"]], [*groups, "1"]) == ["b"]
    with pytest.raises(CorpusError, match="a tag of 20 clips in 4 groups"):
        confident_learning.assess_tags(np.zeros((39, 2), np.float32), tag_sets, groups, 5)


ROWS = [
    ManifestRow(Path("/data/x/pack/a.ogg"), ("Dogs", "dog_bark", "animal"), group="pack"),
    ManifestRow(Path("/data/x/pack/b.ogg"), ("dog", "rain"), group="pack"),
    ManifestRow(Path("/data/y/pack/a.ogg"), ("dog",), group="other"),
]


def test_wrong_tags_are_left_out_in_whatever_form(tmp_path: Path) -> None:
    file = tmp_path / "suspects.csv"
    suspects = [
        Suspect("pack/a.ogg", "dog", "wrong", 0.9, 0.01, "pack"),
        Suspect("pack/b.ogg", "thunder", "missing", 0.8, 0.8, "pack"),
        Suspect("pack/b.ogg", "dog", "missing", 0.8, 0.8, "pack"),
        Suspect("ck/b.ogg", "rain", "wrong", 0.8, 0.8, "pack"),  # the end of a name is no path
    ]
    write_suspects(file, suspects)
    cleaned = without_suspects(ROWS, file)
    assert [row.tags for row in cleaned] == [("bark", "animal"), ("dog", "rain"), ("dog",)]
    assert [row.path for row in cleaned] == [row.path for row in ROWS]
    with pytest.raises(CorpusError, match="expected suspects of this corpus"):
        without_suspects(ROWS[1:], file)
    write_suspects(file, [suspect for suspect in suspects if suspect.kind == "missing"])
    assert without_suspects(ROWS, file) == ROWS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,tag\na,b\n", "expected the columns group, kind"),
        ("path,tag,kind,group\na,b,odd,g\n", "line 2: expected a path, a tag and wrong or missing"),
        ("path,tag,kind,group\na\n", "line 2: expected a path, a tag"),
        (b"\xff\xfe", "not a CSV file in UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str | bytes | None, message: str) -> None:
    file = tmp_path / "suspects.csv"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CorpusError, match=message):
        without_suspects(ROWS, file)


def test_the_command(tmp_path: Path, capsys: Capture) -> None:
    manifest = write_corpus(tmp_path, 63, 12)
    rows = read_manifest(manifest)
    checkpoint = checkpoint_of(tiny_model())
    checkpoint.words, checkpoint.vocabulary = words_of(16), TAGS
    checkpoint.card["validation_groups"] = [row.group for row in rows if row.split == "validation"]
    save(tmp_path / "model", checkpoint)
    file = tmp_path / "suspects.csv"
    command = ["corpus", "suspects", "--data", tmp_path, "--model", tmp_path / "model"]
    command += ["--cache", tmp_path / "cache"]
    assert main([*map(str, command), "--out", str(file), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["clips"], result["groups"], result["tags"]) == (75, 75, len(TAGS))
    with file.open() as lines:
        written = list(csv.DictReader(lines))
    expected = suspects_of(DualEmbedder(checkpoint), rows, tmp_path)
    assert {(suspect["path"], suspect["tag"], suspect["kind"]) for suspect in written} == set(
        expected
    )
    confidences = [float(suspect["confidence"]) for suspect in written]
    assert confidences == sorted(confidences, reverse=True)
    assert {"wrong": result["wrong"], "missing": result["missing"]} == Counter(
        kind for *_, kind in expected
    )
    cleaned = without_suspects(read_manifest(manifest), file)
    assert (
        sum(len(row.tags) for row in rows) - sum(len(row.tags) for row in cleaned)
        == result["wrong"]
    )
    assert main(list(map(str, command))) == 0
    output = capsys.readouterr().out
    assert f"likely wrong  {result['wrong']} of {result['given']} given tags" in output
    assert main([*map(str, command), "--folds", "1"]) == 2
    assert "--folds: expected at least 2" in capsys.readouterr().err


def suspects_of(
    embedder: Embedder, rows: list[ManifestRow], cache: Path
) -> list[tuple[str, str, str]]:
    """Suspects clip by clip, the most confident first: what the command should find."""
    features = load_features([row.path for row in rows], embedder.config.features, cache)
    codes = clip_codes(embedder, features, range(len(rows)))
    assessment = confident_learning.assess_tags(
        codes, [row.tags for row in rows], [row.group for row in rows], 5
    )
    suspects = []
    for tag, probabilities, has_tag in zip(
        assessment.tags, assessment.probabilities.T, assessment.has_tag.T, strict=True
    ):
        wrong, missing = confident_learning.find_label_errors(probabilities, has_tag)
        for number, row in enumerate(rows):
            assert has_tag[number] == (tag in row.tags)
            confidence = confident_learning.wrong_confidence(probabilities[number], has_tag.mean())
            if wrong[number]:
                suspects.append((-confidence, row.path.name, tag, "wrong"))
            elif missing[number]:
                suspects.append((-probabilities[number], row.path.name, tag, "missing"))
    assert {kind for *_, kind in suspects} == {"wrong", "missing"}
    return [tuple(suspect[1:]) for suspect in sorted(suspects)]
