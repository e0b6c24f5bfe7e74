"""HTTP API, web page and the `earmark` command. Imports `model` and `index`."""
