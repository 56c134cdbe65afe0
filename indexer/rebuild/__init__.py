"""Full rebuilds: a new index from a catalogue or from another index, its checks, and the way back."""
