"""The HTTP server in front of OpenSearch: its routes, API keys, TLS and metrics."""
