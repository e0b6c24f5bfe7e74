"""The same model behind LitServe: `python -m tests.benchmarks.litserve_server PORT`.

A worker process for each core, batches of up to sixteen uploads.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import litserve

from tests.benchmarks.plain_server import load, tags_of

MOST = 16  # uploads in a batch
WAIT = 0.005  # seconds for it to fill


class Tagging(litserve.LitAPI):  # type: ignore[misc]
    """Decodes and encodes; LitServe calls these in its worker processes."""

    def setup(self, device: str) -> None:
        """Load the model in a worker."""
        del device
        self.embedder = load()

    def decode_request(self, request) -> bytes:  # type: ignore[no-untyped-def]
        """The upload's bytes. Not annotated: LitServe would read that as a schema."""
        sound: bytes = request["file"].file.read()
        return sound

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        """Sounds differ in length: a batch is a list."""
        return inputs

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """As they were."""
        return output

    def predict(self, sounds: list[bytes]) -> list[dict[str, Any]]:
        """Their answers."""
        return [tags_of(self.embedder, sound) for sound in sounds]

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """As it is."""
        return output


def main(port: int) -> None:
    """Serve."""
    api = Tagging(api_path="/v1/tags", max_batch_size=MOST, batch_timeout=WAIT)
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=os.cpu_count() or 1, healthcheck_path="/healthz"
    )
    server.run(host="127.0.0.1", port=port, log_level="error", generate_client_file=False)


if __name__ == "__main__":
    main(int(sys.argv[1]))
