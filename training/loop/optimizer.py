"""The optimiser of a recipe, and its learning rate step by step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from earmark.training.recipe import Recipe


def build_optimizer(
    recipe: Recipe, parameters: Iterable[nn.Parameter], device: torch.device
) -> torch.optim.Optimizer:
    """The recipe's optimiser over the parameters that require gradients."""
    kind = torch.optim.SGD if recipe.optimizer == "sgd" else torch.optim.AdamW
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    learning_rate, decay = recipe.learning_rate, recipe.weight_decay
    return kind(trainable, lr=learning_rate, weight_decay=decay, fused=device.type == "cuda")


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The rate at a step of the whole run: linear warm-up, then the recipe's schedule."""
    warmup = recipe.warmup_epochs * steps_per_epoch
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    if recipe.schedule == "constant":
        return recipe.learning_rate
    progress = (step - warmup) / max(1, recipe.epochs * steps_per_epoch - warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
