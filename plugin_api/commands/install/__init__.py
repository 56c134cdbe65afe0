"""`attune install`: a search pipeline inside the cluster that asks the sidecar to rerank."""
