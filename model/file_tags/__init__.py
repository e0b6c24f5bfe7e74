"""Tags are written into sounds' files."""
