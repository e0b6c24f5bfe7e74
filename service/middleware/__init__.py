"""ASGI middleware: limits, security headers, the access log."""
