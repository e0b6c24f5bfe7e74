"""A task's result for people: a table in the terminal, a confusion matrix as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from earmark.model.core.errors import ConfigError


def table(result: dict[str, Any]) -> str:
    """Protocol, metrics, and figures by class, fold, tag group or row where the task has them."""
    model = result.get("model")  # a task that compares several names them in its rows
    lines = [result["task"] + (f" with {model['name']} ({model['fingerprint']})" if model else "")]
    for name, value in result["protocol"].items():
        text = json.dumps(value, ensure_ascii=False)
        lines.append(f"  {name}: {text if len(text) < 90 else text[:87] + '...'}")
    for name, figure in result.get("metrics", {}).items():
        lines.append(f"{name:34} {figure['mean']:8.4f} ± {figure['std']:.4f}")
    for part in ("folds", "per_class"):
        for name, value in result.get(part, {}).items():
            lines.append(f"  {name:32} {value:8.4f}")
    for name, group in result.get("tag_groups", {}).items():
        lines.append(f"  {name:32} {group['AP@10']:8.4f}   {group['tags']:4} tags")
    for name, part in result.get("tables", {}).items():
        lines += ["", *_rows(name, part, result.get("notes", {}))]
    return "\n".join(lines)


def _rows(name: str, part: dict[str, Any], notes: dict[str, str]) -> list[str]:
    """Rows of a comparison: mean ± deviation in each column."""
    rows: dict[str, dict[str, Any]] = part["rows"]
    columns = list(next(iter(rows.values())))
    width = max(map(len, (*rows, name)))
    lines = [f"{name}: {part['clips']} clips, {part['queries']} tags asked for"]
    lines.append(f"  {'':{width}}" + "".join(f"  {column:>22}" for column in columns))
    for row, figures in rows.items():
        cells = (f"{figure['mean']:.4f} ± {figure['std']:.4f}" for figure in figures.values())
        line = f"  {row:{width}}" + "".join(f"  {cell:>22}" for cell in cells)
        lines.append(line + (f"  {notes[row]}" if row in notes else ""))
    return lines


def confusion_picture(result: dict[str, Any], file: Path) -> None:
    """Write the confusion matrix, rows the true classes, shares of each row, as a picture.

    Raises ConfigError where it cannot be written there.
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
    axes.set_xlabel("heard as")
    axes.set_ylabel("is")
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
