"""The training loop: objective, optimizer, device, resuming."""
