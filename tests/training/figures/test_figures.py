"""`earmark picture`: PNG files of a tiny model, and its hard cases as a table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

from earmark.model.checkpoint import save
from earmark.model.core.manifest import ManifestRow
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.encoders.load import load_embedder
from earmark.service.cli.main import main
from earmark.training.calibration.fit import fit_calibration
from earmark.training.calibration.validation_set import ValidationSet
from earmark.training.figures import figures, tag_map
from earmark.training.figures.hard_cases import find_hard_cases, markdown
from earmark.training.figures.held_out import HeldOutClips, embed_held_out
from tests.model.tiny import checkpoint_of
from tests.training.tiny import TAGS, tiny_model, words_of, write_corpus

Capture = pytest.CaptureFixture[str]
HISTORY = [
    {
        "train_loss": 3.0 - epoch,
        "validation_loss": 3.2 - 0.8 * epoch,
        "mAP@10": 0.1 + 0.1 * epoch,
        "audio_to_tag_mAP@10": 0.2 + 0.1 * epoch,
    }
    for epoch in range(3)
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), 3, 18)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    from earmark.model.core.manifest import read_manifest

    folder = tmp_path_factory.mktemp("model")
    checkpoint = checkpoint_of(tiny_model())
    checkpoint.words, checkpoint.vocabulary = words_of(16), TAGS
    groups = [str(number) for number in range(3, 21)]
    checkpoint.card |= {"validation_groups": groups, "history": HISTORY[:2], "epochs": 2}
    held_out = embed_held_out(DualEmbedder(checkpoint), read_manifest(corpus), folder / "cache")
    fit_calibration(checkpoint.card, held_out.scores, quiet=True)
    save(folder, checkpoint)
    lines = [json.dumps({"epoch": at, **row}) for at, row in enumerate(HISTORY, start=1)]
    (folder / "log.jsonl").write_text("\n".join(lines))
    return folder


def test_the_held_out_clips_are_embedded(corpus: Path, model: Path) -> None:
    from earmark.model.core.manifest import read_manifest

    embedder = load_embedder(model)
    held_out = embed_held_out(embedder, read_manifest(corpus), model / "cache")
    assert [row.group for row in held_out.rows] == [str(number) for number in range(3, 21)]
    for row, vector in zip(held_out.rows[:4], held_out.audio, strict=False):
        assert embedder.embed_audio(row.path).vector @ vector > 0.999
    scores = held_out.scores
    assert scores.has_tag.sum(axis=1).tolist() == [3] * 18
    assert dict(zip(TAGS, scores.training_counts.tolist(), strict=True)) == {
        **dict.fromkeys(TAGS, 1),
        "steady": 2,
    }


def test_the_pictures(corpus: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    command = ["picture", model, "--data", corpus, "--out", tmp_path, "--cache", model / "cache"]
    assert main([*map(str, command), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["clips"] == 18
    names = ["curves", "groups", "tags", "calibration"]
    assert [Path(file).name for file in result["pictures"]] == [f"{name}.png" for name in names]
    for file in map(Path, result["pictures"]):
        picture = imread(file)[..., :3]
        assert picture.shape[1] == 1200
        assert 300 < picture.shape[0] < 1200
        dark = (picture.min(axis=2) < 0.9).mean()
        assert 0.004 < dark < 0.6  # something is drawn, on a light ground
        assert (picture[:, 0] == 1).all()  # nothing is cut off at the left
        assert str(tmp_path).encode() not in file.read_bytes()


def lines_of(figure: Figure, side: int) -> dict[str, list[float]]:
    axes = figure.axes[side]
    return {str(line.get_label()): list(map(float, line.get_ydata())) for line in axes.lines}


def test_the_curves_are_the_history() -> None:
    figure = figures.draw_curves(HISTORY, 2, "tiny")
    losses = lines_of(figure, 0)
    assert losses["training, sum"] == [3.0, 2.0, 1.0]
    assert set(losses) == {"training, sum", "validation, sum", "epoch kept (2)"}
    assert lines_of(figure, 1)["tag → audio"] == pytest.approx([0.1, 0.2, 0.3])


def test_the_whole_run_is_drawn_where_its_log_is(model: Path, tmp_path: Path) -> None:
    from earmark.training.cli.picture import _history

    card = {"history": HISTORY[:2]}
    assert _history(model, card) == HISTORY
    assert _history(model / "model.safetensors", card) == HISTORY
    assert _history(tmp_path, card) == HISTORY[:2]
    other = {"history": [{"train_loss": 9.0}]}  # the log is of another run
    assert _history(model, other) == other["history"]
    assert _history(model, {}) == []


def test_tags_are_scored_over_the_whole_ranking(corpus: Path, model: Path) -> None:
    from earmark.model.core.manifest import read_manifest

    embedder = load_embedder(model)
    held_out = embed_held_out(embedder, read_manifest(corpus), model / "cache")
    results = figures.score_tags(embedder, held_out)
    assert results.tags == TAGS
    at = TAGS.index("hiss")
    scores = held_out.audio @ embedder.embed_tags([["hiss"]])[0]
    relevant = np.array(["hiss" in tags for tags in held_out.tag_sets])
    hits = relevant[np.argsort(-scores, kind="stable")]
    precisions = [hits[: rank + 1].mean() for rank in range(len(hits)) if hits[rank]]
    assert results.precision[at] == pytest.approx(np.mean(precisions))
    assert results.shares[at] == pytest.approx(1 / 3)


def test_best_and_worst_share_no_tag() -> None:
    generator = np.random.default_rng(1)
    for count, best, worst in ((1, 1, 0), (7, 4, 3), (80, 30, 30)):
        tags = [f"tag{number}" for number in range(count)]
        precision = generator.random(count)
        figure = figures.draw_best_and_worst(
            figures.TagScores(tags, precision, np.full(count, 0.1), 50), "tiny"
        )
        labels = [
            [label.get_text().split()[0] for label in axes.get_yticklabels()]
            for axes in figure.axes
        ]
        assert [len(side) for side in labels] == [best, worst]
        ranked = [tags[at] for at in np.argsort(-precision)]
        assert labels[0] == ranked[:best]
        assert labels[1] == (ranked[-worst:] if worst else [])


def test_alike_tags_lie_near() -> None:
    generator = np.random.default_rng(2)
    middles = np.repeat(np.eye(16)[:3], 8, axis=0)
    vectors = middles + 0.05 * generator.standard_normal((24, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    for chosen in (slice(None), slice(0, 24, 4), slice(0, 1)):
        chosen_vectors, kinds = vectors[chosen], np.repeat(range(3), 8)[chosen]
        places = tag_map.tag_positions(chosen_vectors)
        assert places.shape == (len(chosen_vectors), 2)
        away = np.linalg.norm(places[:, None] - places[None], axis=2)
        same = kinds[:, None] == kinds[None]
        if not same.all():
            assert away[same].max() < away[~same].min()


def test_names_cover_no_other() -> None:
    figure = Figure(figsize=(12, 10), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    points = np.random.default_rng(3).normal(size=(400, 2)).astype(np.float32)
    axes.scatter(*points.T)
    canvas.draw()
    names = [f"thunder{number}" for number in range(400)]
    named = tag_map.label_points(axes, canvas.get_renderer(), points, names, range(399, -1, -1))
    assert named[0] == 399
    assert 50 < len(named) <= tag_map.MAX_LABELS
    assert [text.get_text() for text in axes.texts] == [names[at] for at in named]
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in axes.texts]
    assert not any(one.overlaps(other) for at, one in enumerate(boxes) for other in boxes[at + 1 :])


def held_out_with(cosines: np.ndarray, rows: list[ManifestRow]) -> HeldOutClips:
    tag_sets = [list(row.tags) for row in rows]
    has_tag = np.array([[tag in tags for tag in TAGS] for tags in tag_sets])
    counts = np.zeros(len(TAGS), np.int64)
    scores = ValidationSet(cosines, has_tag, np.arange(len(rows)), counts)
    return HeldOutClips(rows, tag_sets, np.zeros((len(rows), 16), np.float32), scores)


def test_hard_cases_are_the_most_confident_errors_one_for_each_group() -> None:
    checkpoint = checkpoint_of(tiny_model())
    checkpoint.words, checkpoint.vocabulary = words_of(16), TAGS  # not calibrated: (1 + cosine) / 2
    cases = [  # tags, group, first suggested, cosine
        ("hiss wind", "a", "click", 0.5),
        ("hiss", "a", "click", 0.9),
        ("tone", "b", "tone", 0.99),  # right
        ("tone", "c", "click", -0.1),  # below its threshold: not suggested
        ("gong", "d", "click", 0.95),  # the model does not know its tag
        ("steady", "e", "wind", 0.7),
    ]
    cosines = np.full((len(cases), len(TAGS)), -0.9)
    rows = []
    for number, (tags, group, first, cosine) in enumerate(cases):
        cosines[number, TAGS.index(first)] = cosine
        path, title = Path(f"/somewhere/pack/{number}.ogg"), "a|b" if number == 5 else ""
        rows.append(ManifestRow(path, tuple(tags.split()), group=group, title=title))
    hard_cases = find_hard_cases(DualEmbedder(checkpoint), held_out_with(cosines, rows))
    assert markdown(hard_cases).split("\n")[2:] == [
        "| pack/1.ogg | hiss | click | 95% |",
        "| a\\|b | steady | wind | 85% |",
    ]
    assert (
        len(find_hard_cases(DualEmbedder(checkpoint), held_out_with(cosines, rows), limit=1)) == 1
    )


def test_the_hard_cases_are_printed(corpus: Path, model: Path, capsys: Capture) -> None:
    command = ["picture", model, "--data", corpus, "--cache", model / "cache", "--failures"]
    assert main([*map(str, command), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)["failures"]
    assert main([*map(str, command)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "| sound | its tags | suggested first | stated |"
    assert len(out) == 2 + len(result)
    assert main([*map(str, command), "--out", "x"]) == 2
    assert "--failures: draws nothing" in capsys.readouterr().err
