"""Adding sounds: in bulk, from watched folders, from uploads."""
