"""Evaluation tasks, each with its protocol."""
