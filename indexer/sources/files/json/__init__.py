"""JSON: one record a line, or documents with a list of records."""
