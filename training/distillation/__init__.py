"""Training with a teacher's embeddings, and making a smaller model of a larger one."""
