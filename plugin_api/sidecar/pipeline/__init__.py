"""The routes that a search pipeline inside the cluster asks."""
