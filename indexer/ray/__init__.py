"""Rebuilds whose products are encoded on a Ray cluster."""
