"""Tests of writing tags into files."""
