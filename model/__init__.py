"""The encoders and all that turns sound or words into vectors. Imports nothing of ours."""
