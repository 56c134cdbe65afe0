"""`attune attach`, `follow` and `detach`: the index that a shop already has."""
