"""Every error of ours is under one root; input errors are ValueErrors too."""

from __future__ import annotations

import pytest

from earmark.model.core import errors
from earmark.training import errors as training_errors


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for module in (errors, training_errors)
        for kind in vars(module).values()
        if isinstance(kind, type)
    ],
)
def test_one_root(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.EarmarkError)
    if kind not in (errors.EarmarkError, training_errors.TrainingError):
        assert issubclass(kind, errors.InputError)
        assert issubclass(kind, ValueError)
