"""`attune train`: a shop's own model; and `make weights`, which makes the shipped one."""
