"""The figures of a model's card as PNG files, 1,200 pixels wide.

Colours are those of Okabe and Ito and matplotlib's cividis: people who see colours differently
tell them apart. Letters: V = tags of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from earmark.model.core.arrays import Floats
from earmark.model.core.errors import ConfigError
from earmark.model.embedder import Embedder
from earmark.training.calibration.fit import reliability
from earmark.training.evaluation.retrieval import both_ways, known_queries
from earmark.training.figures import tag_map
from earmark.training.label_noise.held_out import HeldOut
from earmark.training.metrics.ranking import average_precision

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#777777"
AMBER = "#E69F00"
STYLES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (AMBER, "-"), (PURPLE, ":"))
WIDTH, DPI = 12.0, 100  # inches, pixels an inch
BARS = 30  # of the best tags, and of the worst
LOWEST = 1e-4  # the smallest probability that the calibration's axes show
LOSSES = {
    "train_loss": "training, sum",
    "validation_loss": "validation, sum",
    "train_contrastive": "training, NT-Xent",
    "train_tagwise": "training, each tag alone",
    "train_teacher": "training, teacher",
}
MAPS = {"mAP@10": "tag → audio", "audio_to_tag_mAP@10": "audio → tag"}


@dataclass(frozen=True)
class Scored:
    """Tags that held-out clips can be asked for: each one's average precision over the whole
    ranking, and the share of clips that carry it, about what chance would score.
    """

    tags: list[str]
    precision: Floats
    shares: Floats
    clips: int


def scored(embedder: Embedder, heard: HeldOut) -> Scored:
    """Tag → audio, tag by tag. Raises CorpusError when no tag has enough clips."""
    similarity, carried = both_ways(embedder, heard.audio, heard.tag_sets)
    order = np.argsort(-similarity.T, axis=1, kind="stable")
    hits = np.take_along_axis(carried.T, order, axis=1)
    tags = known_queries(embedder, heard.tag_sets)
    precision = average_precision(hits, hits.shape[1])
    return Scored(tags, precision, carried.mean(axis=0), len(carried))


def check_can_draw() -> None:
    """Raise ConfigError where matplotlib is not there: before the long work, not after it."""
    if find_spec("matplotlib") is None:
        raise ConfigError("picture: pictures need matplotlib (earmark[research])")


def draw(
    embedder: Embedder, history: Sequence[Mapping[str, float]], heard: HeldOut, out: Path
) -> list[Path]:
    """Write all pictures into a folder; returns the files. Raises ConfigError, CorpusError.

    `history`: figures of each epoch; without any, there is no picture of them.
    """
    results = scored(embedder, heard)
    name = f"{embedder.config.name} ({embedder.fingerprint})"
    made = {"curves": curves(history, embedder.card.get("epochs"), name)} if history else {}
    made |= {
        "groups": groups(results, name),
        "tags": tags(embedder, heard, results, name),
        "calibration": calibration(embedder, heard, name),
    }
    return [_saved(figure, out / f"{part}.png") for part, figure in made.items()]


def _figure(height: float, title: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    figure.suptitle(title, size=12)
    return figure


def _saved(figure: Figure, file: Path) -> Path:
    try:
        figure.savefig(file, format="png", pil_kwargs={"optimize": True})
    except OSError as error:
        raise ConfigError(f"picture: {file} cannot be written ({error.strerror})") from error
    return file


def _bare(axes: Axes, grid: str = "both") -> None:
    """Without what says nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis=grid, color="#dddddd", linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def curves(history: Sequence[Mapping[str, float]], kept: int | None, name: str) -> Figure:
    """Losses and validation figures over the epochs; `kept`: the epoch of the model itself,
    which has such a `name`.
    """
    from matplotlib.ticker import MaxNLocator

    figure = _figure(4.8, f"Training · {name}")
    sides: Sequence[Axes] = figure.subplots(1, 2)
    titles = ("loss, mean over an epoch", "mAP@10 on the validation clips")
    for axes, names, title in zip(sides, (LOSSES, MAPS), titles, strict=True):
        lines = {name: label for name, label in names.items() if name in history[-1]}
        for (line, label), (colour, style) in zip(lines.items(), STYLES, strict=False):
            values = [row.get(line, np.nan) for row in history]
            alone = "o" if len(values) == 1 else None
            axes.plot(range(1, len(values) + 1), values, style, marker=alone, color=colour,
                      label=label, linewidth=1.8)  # fmt: skip
        if kept:
            axes.axvline(kept, color=GREY, linewidth=1, label=f"epoch kept ({kept})")
        axes.set_title(title, size=11)
        axes.set_xlabel("epoch")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
        _bare(axes)
    return figure


def groups(results: Scored, name: str) -> Figure:
    """The tags that are found best, and those found worst, as bars."""
    order = np.argsort(-results.precision, kind="stable")
    most = min(BARS, (len(order) + 1) // 2)
    best, worst = order[:most], order[most:][-BARS:]
    mean = float(results.precision.mean())
    figure = _figure(
        1.9 + 0.23 * max(most, 6),
        f"Tag → audio on {results.clips} held-out clips, "
        f"{len(order)} tags, mean average precision {mean:.3f} · {name}",
    )
    sides: Sequence[Axes] = figure.subplots(1, 2)
    titles = ("best", "worst (another scale)")
    for axes, chosen, title, colour in zip(
        sides, (best, worst), titles, (BLUE, ORANGE), strict=True
    ):
        rows = range(len(chosen))
        carriers = np.rint(results.shares[chosen] * results.clips).astype(int)
        labels = [
            f"{results.tags[at]} ({count})" for at, count in zip(chosen, carriers, strict=True)
        ]
        axes.barh(rows, results.precision[chosen], color=colour, height=0.72)
        axes.plot(results.shares[chosen], rows, "|", color="black", markersize=9, label="by chance")
        axes.set_yticks(rows, labels, size=9)
        axes.set_ylim(len(chosen) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.set_title(f"the {len(chosen)} {title}", size=11)
        axes.set_xlabel("average precision over the whole ranking; in brackets: clips")
        _bare(axes, "x")
    sides[0].legend(frameon=False, loc="lower right")
    return figure


def tags(embedder: Embedder, heard: HeldOut, results: Scored, name: str) -> Figure:
    """The vocabulary's vectors in two dimensions, coloured by how well each tag is found."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = _figure(
        10.5, f"The tag space: tags that are alike to the model lie near (t-SNE) · {name}"
    )
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    points = tag_map.places(embedder.vocabulary_vectors)
    clips = heard.evidence.counts + heard.evidence.carried.sum(axis=0)
    by_tag = dict(zip(results.tags, results.precision, strict=True))
    colours = np.array([by_tag.get(tag, np.nan) for tag in embedder.vocabulary])
    known = np.isfinite(colours)
    sizes = 6 + 2.5 * np.sqrt(clips)
    x, y = points.T
    axes.scatter(
        x[~known], y[~known], s=sizes[~known], color="#cccccc", label="too few clips to ask"
    )
    shown = axes.scatter(
        x[known],
        y[known],
        s=sizes[known],
        c=colours[known],
        cmap="cividis_r",
        vmin=0,
        edgecolors="#555555",
        linewidths=0.3,
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.04)
    if not known.all():
        axes.legend(loc="lower left", frameon=False)
    figure.colorbar(
        shown, fraction=0.03, pad=0.01, label="average precision, tag → audio, held-out clips"
    )
    axes.set_title(" ", size=11)
    # The layout settles: from here on, places in pixels hold.
    canvas.draw()  # type: ignore[no-untyped-call]
    figure.set_layout_engine("none")
    order = np.argsort(-clips, kind="stable").tolist()
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    named = tag_map.name(axes, renderer, points, embedder.vocabulary, order)
    axes.set_title(f"{len(named)} of {len(points)} tags named; larger: more clips", size=11)
    return figure


def calibration(embedder: Embedder, heard: HeldOut, name: str) -> Figure:
    """What share of clips carries a tag, where so much was stated: both axes logarithmic."""
    from matplotlib.ticker import FuncFormatter

    evidence = heard.evidence
    probable = embedder.calibration.probabilities(evidence.cosines.astype(np.float32))
    rows = reliability(probable.astype(np.float64), evidence.carried, evidence.weights)
    stated = embedder.card.get("calibration") or {}
    figure = _figure(7.5, f"Are percentages true? {evidence.carried.size:,d} pairs of a held-out "
                          f"clip and a tag · {name}")  # fmt: skip
    axes = figure.subplots()
    axes.plot([LOWEST, 1], [LOWEST, 1], color=GREY, linewidth=1, label="as stated")
    _reliability_line(axes, rows, "these clips", (BLUE, "o-"))
    if "reliability" in stated:
        _reliability_line(axes, stated["reliability"], "the card's: sources left out of the fit",
                          (ORANGE, "s--"))  # fmt: skip
    for row in rows:
        if row["stated"] >= LOWEST:
            axes.text(row["stated"], 0.012, f"{row['pairs']:,d}", size=9, color=BLUE, ha="center",
                      transform=axes.get_xaxis_transform())  # fmt: skip
    percent = FuncFormatter(lambda value, _: f"{100 * value:g} %")
    for axis, scale, limits in (
        (axes.xaxis, axes.set_xscale, axes.set_xlim),
        (axes.yaxis, axes.set_yscale, axes.set_ylim),
    ):
        scale("log")
        limits(LOWEST, 1)
        axis.set_major_formatter(percent)
    axes.set_xlabel("probability stated, mean of its bin; above the axis: pairs in the bin")
    axes.set_ylabel("share that carries the tag")
    axes.legend(frameon=False, loc="upper left")
    _bare(axes)
    return figure


def _reliability_line(
    axes: Axes, rows: Sequence[Mapping[str, Any]], label: str, look: tuple[str, str]
) -> None:
    colour, style = look
    line = [[row["stated"] for row in rows], [row["carried"] for row in rows]]
    axes.plot(*line, style, color=colour, label=label, linewidth=1.5)
