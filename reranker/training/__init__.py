"""Training of the models: everything here needs the extra `train` (torch, transformers)."""
