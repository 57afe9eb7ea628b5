"""Coded errors: every failure says what was expected, what came, where, and what to do next."""

from __future__ import annotations

# code -> explanation, shown by `fanlight explain CODE`. Codes are stable: never renumber, only add.
CATALOGUE: dict[str, str] = {
    # --- ops: a call of an op does not fit its row -------------------------------------------
    "E-OP-001": "An op was called with the wrong number of inputs.",
    "E-OP-002": "An op was called with an unknown attribute or without a required one.",
    "E-OP-003": "The dtypes of an op's inputs do not fit its dtype rule.",
    "E-OP-004": "The shapes of an op's inputs do not fit its shape rule.",
    "E-OP-005": "An attribute of an op has a value outside what the op allows.",
    "E-OP-006": "There is no op of this name in the table (see docs/ops.md).",
    "E-OP-007": "An op that needs fixed sizes met a symbolic dimension.",
    # --- graph: the structure is not a graph ----------------------------------------------------
    "E-GRAPH-001": "A graph uses a value that nothing defines before it.",
    "E-GRAPH-002": "Two values of a graph have the same name.",
    "E-GRAPH-003": "A node's recorded output types are not what its op's rules give.",
    "E-GRAPH-004": "The text of a graph does not parse.",
    "E-GRAPH-005": "A graph has no outputs.",
    "E-GRAPH-006": "A weight has no array or an array of another shape or dtype.",
    "E-GRAPH-007": "A pass left the graph in a state that its contract forbids.",
    # --- inputs: what a caller hands to a model ----------------------------------------------
    "E-INPUT-001": "A model was run without one of its inputs, or with one that it does not have.",
    "E-INPUT-002": "An input has the wrong shape.",
    "E-INPUT-003": "An input has the wrong dtype.",
    "E-INPUT-004": "A symbolic dimension was given a size outside its bounds.",
    # --- build and check -------------------------------------------------------------------------
    "E-BUILD-001": "No kernel of the target can compute an op of the graph.",
    "E-BUILD-002": "The number of labels does not fit the number of scores.",
    "E-BUILD-003": "The model does not have the form that the task needs.",
    "E-BUILD-004": "The output path cannot be written, or holds something that is not a bundle.",
    "E-BUILD-005": "An option of build has an unknown or contradictory value.",
    "E-BUILD-006": "A weight holds NaN or infinity.",
    "E-BUILD-007": "The model needs more memory than WebAssembly can address.",
    "E-BUILD-008": "The WASM emitter met an inconsistent program (a bug in Fanlight: report it).",
    # --- bundle and hosts ------------------------------------------------------------------------
    "E-BUNDLE-001": "A bundle folder or its manifest.json is missing or unreadable.",
    "E-BUNDLE-002": "manifest.json does not follow the manifest schema.",
    "E-BUNDLE-003": "A file of a bundle is missing, truncated, or does not have its SHA-256.",
    "E-BUNDLE-004": "A bundle was written by a newer version of Fanlight.",
    "E-BUNDLE-005": "A path in a manifest leaves the bundle's folder.",
    "E-HOST-001": "A host cannot run here: something that it needs is not installed.",
    "E-HOST-002": "There is no host of this name.",
    "E-HOST-003": "The WASM engine refused or stopped the module.",
}


class FanlightError(Exception):
    """One failure, told so that a person can act on it.

    Args:
        code: stable code, a key of CATALOGUE.
        message: what went wrong, one sentence.
        expected, received: the two sides of a mismatch.
        where: file, node, layer or argument.
        next: what to do about it.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        expected: object = None,
        received: object = None,
        where: object = None,
        next: str | None = None,
    ) -> None:
        if code not in CATALOGUE:
            raise KeyError(f"error code {code} is not in the catalogue (fanlight/errors.py)")
        super().__init__(message)
        self.code = code
        self.message = message
        self.expected = expected
        self.received = received
        self.where = where
        self.next = next

    def __str__(self) -> str:
        lines = [f"{self.code}  {self.message}"]
        for label, value in (
            ("Where", self.where),
            ("Expected", self.expected),
            ("Received", self.received),
            ("Next", self.next),
        ):
            if value is not None:
                lines.append(f"  {label}: {value}")
        if self.next is None:
            lines.append(f"  Next: read `fanlight explain {self.code}`.")
        return "\n".join(lines)

    def to_json(self) -> dict[str, str]:
        """The error as plain strings, for `--json` output."""
        fields = {
            "code": self.code,
            "message": self.message,
            "where": self.where,
            "expected": self.expected,
            "received": self.received,
            "next": self.next,
        }
        return {k: str(v) for k, v in fields.items() if v is not None}
