"""Scores → probabilities, fitted on held-out clips."""
