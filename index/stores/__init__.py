"""Vector stores: the protocol, and what its implementations share."""
