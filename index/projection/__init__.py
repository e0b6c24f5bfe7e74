"""The library as a map: a t-SNE layout, computed in a process of its own and stored."""
