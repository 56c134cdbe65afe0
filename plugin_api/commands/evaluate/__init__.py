"""`attune evaluate`: rankings measured by judgements, side by side."""
