"""The server process: connection limits, readiness, shutdown."""
