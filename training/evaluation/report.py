"""A task's result as a table of text, and its confusion matrix as an image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from earmark.model.core.errors import ConfigError


def table(result: dict[str, Any]) -> str:
    """The result as text: protocol, metrics, and metrics by fold, class, tag group or row."""
    model = result.get("model")  # None for a task that compares several
    lines = [result["task"] + (f" with {model['name']} ({model['fingerprint']})" if model else "")]
    for name, value in result["protocol"].items():
        text = json.dumps(value, ensure_ascii=False)
        lines.append(f"  {name}: {text if len(text) < 90 else text[:87] + '...'}")
    for name, metric in result.get("metrics", {}).items():
        lines.append(f"{name:34} {metric['mean']:8.4f} ± {metric['std']:.4f}")
    for part in ("folds", "per_class"):
        for name, value in result.get(part, {}).items():
            lines.append(f"  {name:32} {value:8.4f}")
    for name, group in result.get("tag_groups", {}).items():
        lines.append(f"  {name:32} {group['AP@10']:8.4f}   {group['tags']:4} tags")
    for name, part in result.get("tables", {}).items():
        lines += ["", *_comparison(name, part, result.get("notes", {}))]
    return "\n".join(lines)


def _comparison(name: str, comparison: dict[str, Any], notes: dict[str, str]) -> list[str]:
    """Lines of a comparison of rows: mean ± standard deviation in each column."""
    rows: dict[str, dict[str, Any]] = comparison["rows"]
    columns = list(next(iter(rows.values())))
    width = max(map(len, (*rows, name)))
    lines = [f"{name}: {comparison['clips']} clips, {comparison['queries']} tags asked for"]
    lines.append(f"  {'':{width}}" + "".join(f"  {column:>22}" for column in columns))
    for row, metrics in rows.items():
        cells = (f"{metric['mean']:.4f} ± {metric['std']:.4f}" for metric in metrics.values())
        line = f"  {row:{width}}" + "".join(f"  {cell:>22}" for cell in cells)
        lines.append(line + (f"  {notes[row]}" if row in notes else ""))
    return lines


def draw_confusion(result: dict[str, Any], file: Path) -> None:
    """Write the confusion matrix as PNG: rows are the true classes, cells shares of their row.

    Raises ConfigError without matplotlib, or when the file cannot be written.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ConfigError("--confusion: pictures need matplotlib (earmark[research])") from error
    mpl.use("Agg")
    from matplotlib import pyplot

    counts = np.array(result["confusion"], dtype=float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = result["classes"]
    size = 2 + 0.45 * len(names)
    figure, axes = pyplot.subplots(figsize=(size + 1, size))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    accuracy = result["metrics"]["accuracy"]["mean"]
    axes.set_title(f"{result['task']}, {result['model']['name']}: {accuracy:.1%}")
    if len(names) <= 20:
        for row, column in np.ndindex(shares.shape):
            if shares[row, column] >= 0.01:
                colour = "white" if shares[row, column] > 0.5 else "black"
                label = f"{shares[row, column]:.0%}".rstrip("%")
                axes.text(column, row, label, ha="center", va="center", color=colour, size=8)
    figure.colorbar(image, fraction=0.046, label="share of the row")
    try:
        figure.savefig(file, format="png", bbox_inches="tight", dpi=110)
    except OSError as error:
        raise ConfigError(f"--confusion: {file} cannot be written ({error})") from error
    finally:
        pyplot.close(figure)
