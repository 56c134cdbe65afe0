"""Catalogues and measurements of the domains finance and medicine."""
