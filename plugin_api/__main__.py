"""`python -m plugin_api` is the command `attune`."""

from plugin_api.cli import main

main()
