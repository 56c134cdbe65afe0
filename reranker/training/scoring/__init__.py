"""The scorer: its examples, its training, its figures, and the article recipe as a baseline."""
