"""Security headers on every answer, and a strict content security policy for the page."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' blob:; media-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# The pages of the OpenAPI documentation start with an inline script.
DOCUMENTATION = ("/docs", "/redoc", "/static-offline-docs")
DOCUMENTATION_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
}
# Request headers that pages of other origins may send, and response headers that they may read.
CORS_ALLOWED = (
    "Authorization", "Cache-Control", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range",
    "Last-Event-ID", "Mcp-Method", "Mcp-Name", "Mcp-Protocol-Version", "Range", "X-API-Key",
    "X-Request-ID", "traceparent", "tracestate",
    # OpenAI's client sends these with every request.
    "OpenAI-Organization", "OpenAI-Project", "X-Stainless-Arch", "X-Stainless-Lang",
    "X-Stainless-OS", "X-Stainless-Package-Version", "X-Stainless-Retry-Count",
    "X-Stainless-Runtime", "X-Stainless-Runtime-Version", "X-Stainless-Timeout",
)  # fmt: skip
CORS_EXPOSED = (
    "Accept-Ranges", "Allow", "Content-Disposition", "Content-Range", "ETag", "Location",
    "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate", "X-Request-ID",
)  # fmt: skip


class SecurityHeaders:
    """Middleware: adds the headers. `shared`: pages of other origins may embed the answers."""

    def __init__(self, app: ASGIApp, shared: bool = False) -> None:
        self.app = app
        everywhere = {
            **HEADERS,
            "Cross-Origin-Resource-Policy": "cross-origin" if shared else "same-origin",
        }
        self._default, self._documentation = (
            [
                (name.lower().encode(), value.encode())
                for name, value in {**everywhere, "Content-Security-Policy": policy}.items()
            ]
            for policy in (PAGE_POLICY, DOCUMENTATION_POLICY)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        documentation = scope["path"].startswith(DOCUMENTATION)
        more = self._documentation if documentation else self._default

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        await self.app(scope, receive, with_headers)
