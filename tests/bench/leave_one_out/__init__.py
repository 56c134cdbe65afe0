"""Train the scorer with one catalogue left out, and measure it on that one."""
