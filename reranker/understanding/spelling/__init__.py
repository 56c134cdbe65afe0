"""Misspelt words and compounds of a query, corrected by what the catalogue's own products say."""
