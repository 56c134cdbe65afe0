"""What shoppers did, as numbers: decayed counts, co-purchases, and recommendations made of them."""
