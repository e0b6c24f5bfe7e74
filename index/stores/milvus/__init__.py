"""The vector store past one machine: Milvus."""
