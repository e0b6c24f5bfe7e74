"""What all packages share: errors, array types, atomic writes, progress, manifests."""
