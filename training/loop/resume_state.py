"""The state of a training run, for resuming: one safetensors file, written atomically.

All random draws are seeded by (seed, epoch, step, process). So a run resumes exactly from its
weights, its optimiser's state, the epoch, the step, and the sums of the epoch's losses so far.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from earmark.model.checkpoint import load_strictly, read_tensors, write_tensors
from earmark.model.core.errors import CheckpointError, ConfigError

FILE_NAME = "training.safetensors"


def save_state(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, header: dict[str, Any]
) -> None:
    """Write the weights, the optimiser's state and a header of JSON values to `path`."""
    tensors = {f"model.{name}": tensor.cpu() for name, tensor in model.state_dict().items()}
    for number, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{number}.{name}"] = value.cpu()
    write_tensors(path, tensors, {"kind": "training", **header})


def load_state(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, run: dict[str, Any]
) -> dict[str, Any]:
    """Load a saved state into the model and the optimiser; returns its header.

    `run`: the expected value of the header's "run". Raises ConfigError when it differs, and
    CheckpointError when the file does not hold a run of this model; both change nothing.
    """
    tensors, header = read_tensors(path)
    if header.get("kind") != "training":
        raise CheckpointError(f"{path}: expected a training state, got {header.get('kind')!r}")
    if header.get("run") != json.loads(json.dumps(run)):
        raise ConfigError(f"resume: {path.parent} holds a run with other settings or data")
    weights: dict[str, Tensor] = {}
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, rest = name.split(".", 1)
        if part == "model":
            weights[rest] = tensor
        else:
            number, entry = rest.split(".", 1)
            state.setdefault(int(number), {})[entry] = tensor
    load_strictly(model, weights, str(path))
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    for parameter, entries in optimizer.state.items():
        for name, value in entries.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # In the parameter's memory layout, channels last: fused optimisers require it.
                entries[name] = torch.empty_like(parameter).copy_(value)
    return header
