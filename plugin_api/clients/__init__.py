"""What may be shown to a client: the rules of a domain as filters of OpenSearch, and as marks on hits."""
