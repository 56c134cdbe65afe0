"""`attune demo`: OpenSearch, a sample catalogue and the sidecar, with rankings side by side."""
