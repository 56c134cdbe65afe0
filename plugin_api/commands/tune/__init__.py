"""`attune tune`: search settings for one catalogue, chosen by made queries."""
