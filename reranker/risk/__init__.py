"""Risk assessment: from a person's cash flow to named features, a calibrated probability and a risk class."""
