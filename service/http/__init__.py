"""HTTP details: problems, etags, static files, allowed methods, streaming answers."""
