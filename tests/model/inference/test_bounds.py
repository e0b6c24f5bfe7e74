"""Work that takes too long or too much is ended, and what follows it is not."""

from __future__ import annotations

import subprocess
import sys

from tests.index.made import environment

WORK = """
import time
from earmark.model.inference.bounds import OutOfTimeError, bounded

def busy():
    while True:
        try:
            time.process_time()
        except Exception:
            pass

try:
    with bounded(0.1, 1 << 30):
        busy()
except OutOfTimeError:
    print("time")
try:
    with bounded(5, 50_000_000):
        bytearray(200_000_000)
except MemoryError:
    print("memory")
with bounded(0.05, 50_000_000):
    bytearray(10_000_000)
bytearray(200_000_000)
until = time.process_time() + 0.2
while time.process_time() < until:
    pass
print("over")
"""


def test_bounds_hold_within_and_not_after() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORK], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["time", "memory", "over"]
