"""Runs that stop, and what of a run's history can be compared."""

from __future__ import annotations

from earmark.training.loop.trainer import Trainer


class StopsAfterOne(Trainer):
    """Killed when its second epoch begins."""

    def _train_epoch(self, *arguments: object) -> dict[str, float]:
        if self.epoch == 1:
            raise KeyboardInterrupt
        return super()._train_epoch(*arguments)


def without_time(history: list[dict[str, float]]) -> list[dict[str, float]]:
    """Without how long each epoch took."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]
