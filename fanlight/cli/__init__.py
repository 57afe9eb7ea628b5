"""The command line: thin commands over the Python API, one file each."""

from fanlight.cli.app import main

__all__ = ["main"]
