"""Commands about shoppers: `attune events`, `count`, `recommend` and `forget`."""
