"""The commands of `attune`: one module each, or a folder where a command has more to it."""
