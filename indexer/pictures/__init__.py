"""Find the pictures of products and encode them for the index."""
