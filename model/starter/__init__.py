"""The model that ships with Earmark; README.md here is its card."""
