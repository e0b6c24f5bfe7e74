"""Finding labels that are likely wrong, and training without them."""
