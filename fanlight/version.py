"""The version of this package, and so of the bundles that it writes."""

from __future__ import annotations

__version__ = "0.1.0"
