"""A typed client of the service, for other people's programs: `pip install earmark[client]`."""
