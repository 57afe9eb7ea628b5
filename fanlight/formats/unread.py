"""What of a source cannot be read, where the part in front of it is wanted alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fanlight.errors import FanlightError

# What a reader says of a node that it has no meaning for, or not with these options and inputs.
_CODES = ("E-FORMAT-012", "E-FORMAT-013", "E-FORMAT-019")


def of_nodes(error: FanlightError) -> bool:
    """Whether the error is of nodes that Fanlight does not have, so that others can be read."""
    return error.code in _CODES


@dataclass
class Unread:
    """The nodes that are not read, and those behind them; filled by a reader.

    Attributes:
        names: of nodes and results that are not made.
        last: results that are made and feed nodes that are not, in order.
        causes: what is said of the nodes that others are lost by, in order.
    """

    names: set[str] = field(default_factory=set)
    last: dict[str, None] = field(default_factory=dict)
    causes: list[FanlightError] = field(default_factory=list)

    def lose(self, made: Iterable[str], inputs: Iterable[str]) -> None:
        """A node that is not read.

        Args:
            made: its name, and those of its results.
        """
        self.last |= {name: None for name in inputs if name and name not in self.names}
        self.names |= {name for name in made if name}

    def fail(self, error: FanlightError) -> None:
        """Keep what is said of a node; other errors than those of nodes are raised."""
        if not of_nodes(error):
            raise error
        self.causes.append(error)

    @property
    def told(self) -> str:
        """What is said of the names that are not there."""
        first = self.causes[0]
        more = f", and {len(self.causes) - 1} more" if len(self.causes) > 1 else ""
        count = len(self.names)
        return (
            f"{count} more name{'s are' if count != 1 else ' is'} left out, from what cannot be "
            f"read on: {first.where}: {first.message.rstrip('.')} ({str(first.received)[:80]})"
            f"{more}."
        )


def in_front(
    given: Iterable[str], nodes: Iterable[tuple[bool, Sequence[str], Sequence[str]]]
) -> str:
    """What to do about ops that are unsupported: words that name the last results before them.

    Args:
        given: names of the inputs of the graph.
        nodes: of each, in order, whether its op is supported, what it takes and what it makes.
    """
    fed, lost, made = set(given), set[str](), set[str]()
    last: dict[str, None] = {}
    for known, inputs, outputs in nodes:
        if not known or not lost.isdisjoint(inputs):
            last |= {name: None for name in inputs if name in made}
            lost.update(outputs)
        elif not fed.isdisjoint(inputs):
            fed.update(outputs)
            made.update(outputs)
    names = [name for name in last if len(name) <= 120 and "'" not in name][:4]
    if not names:
        return ""
    return f"convert the part before them: fl.convert(source, destination, outputs={names!r}). Or "
