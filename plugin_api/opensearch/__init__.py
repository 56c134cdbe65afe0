"""The client that sends requests to OpenSearch with the caller's own credentials."""
