"""Makes clean products of records: field map, presets, cleaning, prices, availability, variants, status."""
