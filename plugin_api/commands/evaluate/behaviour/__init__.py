"""Measures recommendations and personal search on what shoppers did."""
