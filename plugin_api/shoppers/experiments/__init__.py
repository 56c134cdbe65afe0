"""Experiments on shoppers: what each search showed, what came of it, and which variants are stopped."""
