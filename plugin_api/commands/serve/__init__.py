"""`attune serve`: the sidecar, with the models that it loads."""
