"""From a click log to evidence of relevance: interactions, robots filter and position bias."""
