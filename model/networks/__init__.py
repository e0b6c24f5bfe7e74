"""The audio encoder, the tag encoder, and both as one dual encoder."""
