"""The library of embedded sounds: catalogue, stores, search, adding. Imports only `model`."""
