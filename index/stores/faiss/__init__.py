"""The vector store in this process: FAISS."""
