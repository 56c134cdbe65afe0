"""The first stage of a search: candidates by keyword and vector, and their fusion."""
