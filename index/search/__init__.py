"""A query → ranked, fused pages of hits."""
