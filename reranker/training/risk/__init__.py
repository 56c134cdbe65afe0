"""Trains the risk scorer on a table of people whose outcome is known."""
