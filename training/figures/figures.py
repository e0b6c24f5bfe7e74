"""The figures of a model's card as PNG files, 1,200 pixels wide.

Colours are those of Okabe and Ito, and matplotlib's cividis, which colour-blind readers can tell
apart. Letters: V = tags of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from earmark.model.core.arrays import Array, Floats
from earmark.model.core.errors import ConfigError
from earmark.model.embedder import Embedder
from earmark.training.calibration.fit import reliability_bins
from earmark.training.figures import tag_map
from earmark.training.figures.held_out import HeldOutClips
from earmark.training.metrics.ranking import average_precision
from earmark.training.metrics.tag_queries import known_query_tags, tag_cosines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#777777"
AMBER = "#E69F00"
STYLES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (AMBER, "-"), (PURPLE, ":"))
WIDTH, DPI = 12.0, 100  # inches, pixels an inch
MAX_BARS = 30  # of the best tags, and of the worst
LOWEST_PROBABILITY = 1e-4  # that the calibration's axes show
LOSSES = {
    "train_loss": "training, sum",
    "validation_loss": "validation, sum",
    "train_contrastive": "training, NT-Xent",
    "train_tagwise": "training, each tag alone",
    "train_teacher": "training, teacher",
}
MEAN_PRECISIONS = {"mAP@10": "tag → audio", "audio_to_tag_mAP@10": "audio → tag"}


@dataclass(frozen=True)
class TagScores:
    """The query tags of `clips` held-out clips.

    `precision`: each tag's average precision over the whole ranking; `shares`: the share of clips
    that have the tag, which is about the precision of chance.
    """

    tags: list[str]
    precision: Floats
    shares: Floats
    clips: int


def score_tags(embedder: Embedder, held_out: HeldOutClips) -> TagScores:
    """Tag → audio, tag by tag. Raises CorpusError when no tag is a query."""
    cosines, has_tag = tag_cosines(embedder, held_out.audio, held_out.tag_sets)
    order = np.argsort(-cosines.T, axis=1, kind="stable")
    hits = np.take_along_axis(has_tag.T, order, axis=1)
    tags = known_query_tags(embedder, held_out.tag_sets)
    precision = average_precision(hits, hits.shape[1])
    return TagScores(tags, precision, has_tag.mean(axis=0), len(has_tag))


def check_matplotlib() -> None:
    """Raise ConfigError without matplotlib: before the long work, not after it."""
    if find_spec("matplotlib") is None:
        raise ConfigError("picture: pictures need matplotlib (earmark[research])")


def write_figures(
    embedder: Embedder,
    history: Sequence[Mapping[str, float]],
    held_out: HeldOutClips,
    out: Path,
) -> list[Path]:
    """Write all figures into a folder; returns the files. Raises ConfigError, CorpusError.

    `history`: metrics of each epoch; without any, there are no curves.
    """
    scores = score_tags(embedder, held_out)
    name = f"{embedder.name} ({embedder.fingerprint})"
    figures = {}
    if history:
        figures["curves"] = draw_curves(history, embedder.card.get("epochs"), name)
    figures |= {
        "groups": draw_best_and_worst(scores, name),
        "tags": draw_tag_map(embedder, held_out, scores, name),
        "calibration": draw_calibration(embedder, held_out, name),
    }
    return [_save(figure, out / f"{part}.png") for part, figure in figures.items()]


def _figure(height: float, title: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    figure.suptitle(title, size=12)
    return figure


def _save(figure: Figure, file: Path) -> Path:
    try:
        figure.savefig(file, format="png", pil_kwargs={"optimize": True})
    except OSError as error:
        raise ConfigError(f"picture: {file} cannot be written ({error.strerror})") from error
    return file


def _style_axes(axes: Axes, grid: str = "both") -> None:
    """A light grid, and no frame above and to the right."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis=grid, color="#dddddd", linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def draw_curves(
    history: Sequence[Mapping[str, float]], model_epoch: int | None, name: str
) -> Figure:
    """Losses and validation metrics over the epochs, with the epoch of the model `name`."""
    from matplotlib.ticker import MaxNLocator

    figure = _figure(4.8, f"Training · {name}")
    sides: Sequence[Axes] = figure.subplots(1, 2)
    titles = ("loss, mean over an epoch", "mAP@10 on the validation clips")
    for axes, labels, title in zip(sides, (LOSSES, MEAN_PRECISIONS), titles, strict=True):
        lines = {metric: label for metric, label in labels.items() if metric in history[-1]}
        for (metric, label), (colour, style) in zip(lines.items(), STYLES, strict=False):
            values = [row.get(metric, np.nan) for row in history]
            marker = "o" if len(values) == 1 else None
            axes.plot(range(1, len(values) + 1), values, style, marker=marker, color=colour,
                      label=label, linewidth=1.8)  # fmt: skip
        if model_epoch:
            label = f"epoch kept ({model_epoch})"
            axes.axvline(model_epoch, color=GREY, linewidth=1, label=label)
        axes.set_title(title, size=11)
        axes.set_xlabel("epoch")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
        _style_axes(axes)
    return figure


def draw_best_and_worst(scores: TagScores, name: str) -> Figure:
    """The tags with the highest average precision, and those with the lowest, as bars."""
    order = np.argsort(-scores.precision, kind="stable")
    bars = min(MAX_BARS, (len(order) + 1) // 2)
    best, worst = order[:bars], order[bars:][-MAX_BARS:]
    mean = float(scores.precision.mean())
    figure = _figure(
        1.9 + 0.23 * max(bars, 6),
        f"Tag → audio on {scores.clips} held-out clips, "
        f"{len(order)} tags, mean average precision {mean:.3f} · {name}",
    )
    sides: Sequence[Axes] = figure.subplots(1, 2)
    titles = ("best", "worst (another scale)")
    for axes, chosen, title, colour in zip(
        sides, (best, worst), titles, (BLUE, ORANGE), strict=True
    ):
        rows = range(len(chosen))
        counts = np.rint(scores.shares[chosen] * scores.clips).astype(int)
        labels = [
            f"{scores.tags[index]} ({count})" for index, count in zip(chosen, counts, strict=True)
        ]
        axes.barh(rows, scores.precision[chosen], color=colour, height=0.72)
        axes.plot(scores.shares[chosen], rows, "|", color="black", markersize=9, label="by chance")
        axes.set_yticks(rows, labels, size=9)
        axes.set_ylim(len(chosen) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.set_title(f"the {len(chosen)} {title}", size=11)
        axes.set_xlabel("average precision over the whole ranking; in brackets: clips")
        _style_axes(axes, "x")
    sides[0].legend(frameon=False, loc="lower right")
    return figure


def draw_tag_map(
    embedder: Embedder, held_out: HeldOutClips, scores: TagScores, name: str
) -> Figure:
    """The vocabulary's vectors in two dimensions, coloured by each tag's average precision."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = _figure(
        10.5, f"The tag space: tags that are alike to the model lie near (t-SNE) · {name}"
    )
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    positions = tag_map.tag_positions(embedder.vocabulary_vectors)
    clip_counts = held_out.scores.training_counts + held_out.scores.has_tag.sum(axis=0)
    precision_of = dict(zip(scores.tags, scores.precision, strict=True))
    precisions = np.array([precision_of.get(tag, np.nan) for tag in embedder.vocabulary])
    _scatter_tags(figure, axes, positions, precisions, clip_counts)
    axes.set_title(" ", size=11)
    # Drawing settles the layout: after it, positions in pixels are final.
    canvas.draw()  # type: ignore[no-untyped-call]
    figure.set_layout_engine("none")
    order = np.argsort(-clip_counts, kind="stable").tolist()
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    labelled = tag_map.label_points(axes, renderer, positions, embedder.vocabulary, order)
    title = f"{len(labelled)} of {len(positions)} tags named; larger: more clips"
    axes.set_title(title, size=11)
    return figure


def _scatter_tags(
    figure: Figure, axes: Axes, positions: Array, precisions: Floats, clip_counts: Floats
) -> None:
    """Draw the tags as points [V, 2]: colour for precision (grey if NaN), size for clips."""
    scored = np.isfinite(precisions)
    sizes = 6 + 2.5 * np.sqrt(clip_counts)
    x, y = positions.T
    axes.scatter(
        x[~scored], y[~scored], s=sizes[~scored], color="#cccccc", label="too few clips to ask"
    )
    points = axes.scatter(
        x[scored],
        y[scored],
        s=sizes[scored],
        c=precisions[scored],
        cmap="cividis_r",
        vmin=0,
        edgecolors="#555555",
        linewidths=0.3,
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.04)
    if not scored.all():
        axes.legend(loc="lower left", frameon=False)
    figure.colorbar(
        points, fraction=0.03, pad=0.01, label="average precision, tag → audio, held-out clips"
    )


def draw_calibration(embedder: Embedder, held_out: HeldOutClips, name: str) -> Figure:
    """The reliability diagram on logarithmic axes: share of clips with a tag by probability."""
    from matplotlib.ticker import FuncFormatter

    scores = held_out.scores
    probabilities = embedder.calibration.probabilities(scores.cosines.astype(np.float32))
    rows = reliability_bins(probabilities.astype(np.float64), scores.has_tag, scores.weights)
    calibration = embedder.card.get("calibration") or {}
    figure = _figure(7.5, f"Are percentages true? {scores.has_tag.size:,d} pairs of a held-out "
                          f"clip and a tag · {name}")  # fmt: skip
    axes = figure.subplots()
    lowest = LOWEST_PROBABILITY
    axes.plot([lowest, 1], [lowest, 1], color=GREY, linewidth=1, label="as stated")
    _plot_reliability(axes, rows, "these clips", (BLUE, "o-"))
    if "reliability" in calibration:
        _plot_reliability(axes, calibration["reliability"],
                          "the card's: sources left out of the fit", (ORANGE, "s--"))  # fmt: skip
    for row in rows:
        if row["stated"] >= lowest:
            axes.text(row["stated"], 0.012, f"{row['pairs']:,d}", size=9, color=BLUE, ha="center",
                      transform=axes.get_xaxis_transform())  # fmt: skip
    percent = FuncFormatter(lambda value, _: f"{100 * value:g} %")
    for axis, set_scale, set_limits in (
        (axes.xaxis, axes.set_xscale, axes.set_xlim),
        (axes.yaxis, axes.set_yscale, axes.set_ylim),
    ):
        set_scale("log")
        set_limits(lowest, 1)
        axis.set_major_formatter(percent)
    axes.set_xlabel("probability stated, mean of its bin; above the axis: pairs in the bin")
    axes.set_ylabel("share that carries the tag")
    axes.legend(frameon=False, loc="upper left")
    _style_axes(axes)
    return figure


def _plot_reliability(
    axes: Axes, rows: Sequence[Mapping[str, Any]], label: str, style: tuple[str, str]
) -> None:
    """Plot the bins as a line; `style`: (colour, matplotlib's format)."""
    colour, line = style
    stated, carried = ([row[column] for row in rows] for column in ("stated", "carried"))
    axes.plot(stated, carried, line, color=colour, label=label, linewidth=1.5)
