"""`python -m fanlight`: the command line."""

from fanlight.cli import main

main()
