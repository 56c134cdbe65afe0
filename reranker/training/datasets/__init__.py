"""What the models learn from: selected data, queries made from a catalogue, and BM25 in memory."""
