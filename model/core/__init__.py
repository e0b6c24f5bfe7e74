"""Shared by all packages: errors, array types, atomic writes, progress, manifests."""
