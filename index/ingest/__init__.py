"""Adding sounds: a folder or manifest in bulk, a folder that is watched, an upload."""
