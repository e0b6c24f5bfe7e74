"""The library of embedded sounds: catalogue, vectors, search, bulk adding. Imports only `model`."""
