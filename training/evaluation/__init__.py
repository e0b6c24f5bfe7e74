"""Evaluation tasks: what a trained model is worth, each with its protocol."""
