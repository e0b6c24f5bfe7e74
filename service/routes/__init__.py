"""HTTP routes, one file a resource. Routes hold no logic: they call `service.engine`."""
