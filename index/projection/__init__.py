"""The library as a two-dimensional map."""
