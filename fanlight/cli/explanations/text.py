"""The form of an explanation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """What `fanlight explain CODE` says beyond the sentence of the catalogue.

    Attributes:
        cause: what usually leads there.
        cure: what to do.
        wrong, right: a line or two of Python that end in this error, and the same as it works; with
            `import fanlight as fl`. Tests run both.
    """

    cause: str
    cure: str
    wrong: str = ""
    right: str = ""
