"""A model for torch → a folder of ONNX graphs."""
