"""How good a ranking is: judgements, measures, significance, calibration and comparison of systems."""
