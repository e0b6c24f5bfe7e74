"""The optimiser of a recipe, and its learning rate step by step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from earmark.training.recipe import Recipe


def optimizer(
    recipe: Recipe, parameters: Iterable[nn.Parameter], device: torch.device
) -> torch.optim.Optimizer:
    """Of those parameters that learn."""
    kind = torch.optim.SGD if recipe.optimizer == "sgd" else torch.optim.AdamW
    learning = [each for each in parameters if each.requires_grad]
    rate, decay = recipe.learning_rate, recipe.weight_decay
    return kind(learning, lr=rate, weight_decay=decay, fused=device.type == "cuda")


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate at a step of the whole run, of `steps` an epoch: linear warm-up, then the
    schedule.
    """
    warmup = recipe.warmup_epochs * steps
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    if recipe.schedule == "constant":
        return recipe.learning_rate
    done = (step - warmup) / max(1, recipe.epochs * steps - warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
