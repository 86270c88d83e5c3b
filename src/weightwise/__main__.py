"""`python -m weightwise`: the command line."""

from weightwise.cli import main

main()
