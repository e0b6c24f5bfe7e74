"""The training loop: objective, optimiser, device, processes, resuming."""
