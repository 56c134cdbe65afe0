"""Whether a change helps: assignment, interleaving, sequential tests, off-policy estimates, a bandit."""
