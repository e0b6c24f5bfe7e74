"""HTTP routes, one file for each resource. They hold no logic: they call the `Services`."""
