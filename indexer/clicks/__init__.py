"""Click logs from files, and the other names that a log may call products by."""
