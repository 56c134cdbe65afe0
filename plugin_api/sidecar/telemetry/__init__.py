"""Metrics, traces and the access log of the sidecar."""
