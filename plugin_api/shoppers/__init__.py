"""Shoppers in OpenSearch: their events, profiles of them, and recommendations for them."""
