"""`attune inspect`: what an index of a file would hold, before anything is written."""
