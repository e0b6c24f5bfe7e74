"""`earmark export`: a model in a form that other programs run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    export = commands.add_parser("export", help="write a model for other programs")
    kinds = export.add_subparsers(dest="kind", required=True, metavar="KIND")
    onnx = kinds.add_parser("onnx", help="graphs for ONNX Runtime, which serve without torch")
    onnx.add_argument("--model", type=Path, metavar="PATH", help="default: starter model")
    onnx.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    onnx.add_argument("--json", action="store_true", help="print one JSON object")
    onnx.set_defaults(run=_onnx)


def _onnx(options: argparse.Namespace) -> int:
    from earmark.model.core.errors import ConfigError
    from earmark.model.model_files import starter_model

    try:
        from earmark.model.onnx_export.export import export
    except ModuleNotFoundError as error:
        raise ConfigError("export onnx: needs `pip install 'earmark[onnx-export]'`") from error
    made = export(options.model or starter_model(), options.out)
    sizes = {file.name: file.stat().st_size for file in sorted(options.out.iterdir())}
    if options.json:
        summary = {"model": made.config.name, "fingerprint": made.fingerprint}
        print(json.dumps({**summary, "folder": str(options.out), "bytes": sizes}))
        return 0
    print(f"{made.config.name} ({made.fingerprint})")
    for name, size in sizes.items():
        print(f"{size / 1e6:7.1f} MB  {options.out / name}")
    return 0
