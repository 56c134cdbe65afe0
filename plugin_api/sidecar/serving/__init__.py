"""Serving over HTTP: worker processes, limits on clients, passing through, and threads for the Flask app."""
