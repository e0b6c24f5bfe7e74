"""Ways in for other people's programs, in the forms that they know."""
