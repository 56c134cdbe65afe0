"""CSV: the dialect of a file, found from a sample, and its records."""
