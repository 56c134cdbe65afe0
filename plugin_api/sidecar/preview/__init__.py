"""The search preview page: its files, explanations of hits and judgements."""
