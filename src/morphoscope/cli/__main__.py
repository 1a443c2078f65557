"""`python -m morphoscope.cli`."""

from morphoscope.cli.main import main

main()
