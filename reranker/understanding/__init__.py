"""What a query demands and what products say about it, learnt from the catalogue."""
