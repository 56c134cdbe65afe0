"""Add vectors to the index that a shop already has, and keep them in step with its own writers."""
