"""Search by picture: what is like it, what its words are near to, and the order of both."""
