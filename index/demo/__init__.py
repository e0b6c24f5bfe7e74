"""The sounds that ship with Earmark; see ATTRIBUTION.md."""
