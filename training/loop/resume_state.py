"""The state of a training run, for resuming: one safetensors file, whole or not at all.

Everything drawn is seeded by (seed, epoch, step, process), so weights, optimiser state, epoch,
step and the epoch's sums so far are all that a run needs to go on as if it had not stopped.
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
    """Write what is trained, optimiser and header (JSON values) to `path`."""
    tensors = {f"model.{name}": tensor.cpu() for name, tensor in model.state_dict().items()}
    for number, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{number}.{name}"] = value.cpu()
    write_tensors(path, tensors, {"kind": "training", **header})


def load_state(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, run: dict[str, Any]
) -> dict[str, Any]:
    """Put a saved state into what is trained and the optimiser, and return its header.

    `run`: what the header's "run" must be. Raises ConfigError when it is another,
    CheckpointError when the file does not hold a run of this model; both leave it untouched.
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
                # Laid out as the parameter, channels last: fused optimisers insist on it.
                entries[name] = torch.empty_like(parameter).copy_(value)
    return header
