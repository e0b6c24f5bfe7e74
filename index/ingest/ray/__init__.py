"""Bulk embedding on a Ray cluster."""
