"""Where records come from: files, watched folders, standard input and databases, and where rejects go."""
