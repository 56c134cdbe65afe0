"""A well-behaved client of the sidecar while others attack it."""
