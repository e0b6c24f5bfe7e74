"""`earmark calibrate`: calibrates a model's scores again, without training."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.training.cli.options import add_cache, add_data, add_device, add_json

if TYPE_CHECKING:
    from earmark.model.core.manifest import ManifestRow
    from earmark.model.embedder import Embedder


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "calibrate", help="fit a model's probabilities and thresholds to a corpus"
    )
    command.add_argument(
        "--model", required=True, type=Path, metavar="PATH", help="its card is rewritten"
    )
    add_data(command)
    command.add_argument(
        "--out", type=Path, metavar="PATH", help="write there, leave the model as it is"
    )
    command.add_argument(
        "--vocabulary",
        type=Path,
        metavar="FILE",
        help="of a CLAP model: the tags to suggest, one a line; default: the starter model's",
    )
    add_device(command)
    add_cache(command)
    add_json(command)
    command.set_defaults(run=_calibrate)


def _calibrate(options: argparse.Namespace) -> int:
    from earmark.model.core.errors import ConfigError
    from earmark.model.encoders.load import load_embedder
    from earmark.model.encoders.onnx_folder import is_export
    from earmark.training.corpora.detect import read_corpus

    if is_export(options.model):
        raise ConfigError(f"--model: expected the model itself, got its export {options.model}")
    logging.getLogger("earmark.training").setLevel(logging.INFO)
    embedder = load_embedder(options.model, options.device)
    rows = [row for data in options.data for row in read_corpus(data)]
    out, card = _fit(options, embedder, rows)
    calibration = card["calibration"]
    result = {
        "model": {"name": embedder.name, "fingerprint": embedder.fingerprint},
        "out": str(out),
        "class_temperature": card.get("class_temperature"),
        "company": card.get("company"),
        "relevance": _relevance_errors(card),
        **{name: value for name, value in calibration.items() if not _is_by_tag(value)},
    }
    print(json.dumps(result) if options.json else _text(result))
    return 0


def _fit(
    options: argparse.Namespace, embedder: Embedder, rows: Sequence[ManifestRow]
) -> tuple[Path, dict[str, Any]]:
    """(where the fitted card was written, the card). Raises ConfigError, CorpusError."""
    from earmark.model.checkpoint import replace_card
    from earmark.model.core.errors import ConfigError
    from earmark.model.encoders.clap import ClapEmbedder
    from earmark.training.calibration.clap_folder import calibrate_clap, read_vocabulary
    from earmark.training.calibration.fit import fit_calibration
    from earmark.training.calibration.relevance import fit_relevance
    from earmark.training.calibration.validation_set import corpus_validation_set
    from earmark.training.errors import CorpusError

    if isinstance(embedder, ClapEmbedder):
        if options.out is not None:
            raise ConfigError(
                f"--out: expected none with a CLAP model, whose folder gets earmark.json, "
                f"got {options.out}"
            )
        vocabulary = options.vocabulary and read_vocabulary(options.vocabulary)
        card = calibrate_clap(embedder, options.model, rows, vocabulary, options.cache)
        return options.model / "earmark.json", card
    if options.vocabulary is not None:
        raise ConfigError(
            f"--vocabulary: expected a CLAP model, got {embedder.name}, whose tags are its own"
        )
    validation = corpus_validation_set(embedder, rows, options.cache)
    if not validation.usable:
        names = ", ".join(map(str, options.data))
        raise CorpusError(f"{names}: no clip that validates carries a tag of the model's")
    card = dict(embedder.card)
    fit_calibration(card, validation)
    fit_relevance(card, embedder, validation)
    out = options.out or options.model
    replace_card(options.model, card, out)
    return out, card


def _relevance_errors(card: dict[str, Any]) -> dict[str, float] | None:
    """The expected calibration errors of hits of searches, by words and by sounds."""
    fitted = card.get("relevance")
    return fitted and {kind: fitted[kind]["ece"] for kind in ("words", "sounds")}


def _is_by_tag(value: object) -> bool:
    """Whether a value has an entry for each tag: too long to print."""
    return isinstance(value, list) and not (value and isinstance(value[0], dict))


def _text(result: dict[str, Any]) -> str:
    """The result as text."""
    name, fingerprint = result["model"]["name"], result["model"]["fingerprint"]
    clips, sources, folds = (result[key] for key in ("clips", "sources", "folds"))
    lines = [
        f"{name} ({fingerprint}) in {result['out']}: calibrated on {clips} clips of {sources} "
        f"sources in {folds} folds",
        f"  shrinkage          {result['shrinkage']:g}",
        f"  class temperature  {result['class_temperature']}",
    ]
    for title in ("log_loss", "ece"):
        before, after = result[title]["before"], result[title]["after"]
        lines.append(f"  {title:17s}  {before:.4g} with one curve, {after:.4g} now")
    lines.append(
        "  suggested          "
        + ", ".join(f"{metric} {value:g}" for metric, value in result["suggesting"].items())
    )
    if company := result["company"]:
        alone, beside = company["mAP@10"]["alone"], company["mAP@10"]["beside"]
        lines.append(f"  other tags         mAP@10 {alone:g} alone, {beside:g} beside a known one")
    if relevance := result["relevance"]:
        errors = ", ".join(f"{error:.3g} for {kind}" for kind, error in relevance.items())
        lines.append(f"  hits of searches   ece {errors}")
    lines += ["", "  probability        pairs     stated   carried"]
    lines += [
        f"  {row['from']:5.2f} to {row['to']:4.2f} {row['pairs']:11,d}   {row['stated']:8.4f}  "
        f"{row['carried']:8.4f}"
        for row in result["reliability"]
    ]
    return "\n".join(lines)
