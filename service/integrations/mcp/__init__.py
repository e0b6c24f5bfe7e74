"""A Model Context Protocol server, for assistants: on stdio, and over HTTP at `/mcp`."""
