"""Routes about shoppers: events, recommendations, forgetting."""
