"""Calls before they are answered: restricted to what their clients may be shown, with their concepts."""
