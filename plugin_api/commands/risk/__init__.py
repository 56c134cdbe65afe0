"""`attune risk`: cash flow to features, features to a probability and a risk class, each explained."""
