"""Beginning as a teacher network, and keeping what it knew while tags are learned."""
