"""`attune config`, and the table of settings in mappings/SETTINGS.md."""
