"""The query and product encoders, distilled from teachers, within a time budget and from checkpoints."""
