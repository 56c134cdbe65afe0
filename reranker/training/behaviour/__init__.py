"""Trains the behaviour scorer on a shop's own orders."""
