"""Measures recommendations on a shop's own orders, beside rankings that are easy to have."""
