"""What the models read of a text: word tokens, numbers, query types, intent words and product texts."""
