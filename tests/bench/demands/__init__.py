"""Demands: how many of the first hits are what the query asks for, by kind of demand."""
