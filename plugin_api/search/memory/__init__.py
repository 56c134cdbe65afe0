"""What a sidecar remembers from one search to the next."""
