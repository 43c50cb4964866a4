"""`python -m rowsmith.cli`: the same as the command `rowsmith`."""

from rowsmith.cli import main

main()
