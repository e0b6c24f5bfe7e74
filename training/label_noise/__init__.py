"""Finding labels that are likely wrong."""
