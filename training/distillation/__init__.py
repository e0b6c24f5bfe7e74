"""Learning from a teacher network: its codes, and pruning it to the model's size."""
