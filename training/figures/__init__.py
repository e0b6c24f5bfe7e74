"""The figures and hard cases of a model's card."""
