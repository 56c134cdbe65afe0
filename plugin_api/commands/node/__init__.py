"""`attune up` and `attune down`: an embedded OpenSearch node, downloaded, started and stopped."""
