"""What frozen dataclasses have in common, written once.

``dataclass`` compiles these methods anew for each class, and there are dozens: in a function, that is felt at every
cold start. A class of facts is declared ``@dataclass(frozen=True, eq=False, repr=False)`` and inherits them instead.
"""

from __future__ import annotations

from typing import TypeVar


class Fact:
    """Base of frozen dataclasses: compared, hashed and shown by their fields."""

    def __eq__(self, other: object) -> bool:
        """Whether both are of one class and all fields are equal."""
        return self.__dict__ == other.__dict__ if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self) -> int:
        """Hash all fields; raises ``TypeError`` where one cannot be."""
        return hash(tuple(self.__dict__.values()))

    def __repr__(self) -> str:
        """Return what would make it."""
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__qualname__}({fields})"


Some = TypeVar("Some", bound=Fact)


def but(fact: Some, **changes: object) -> Some:
    """Return ``fact`` with other values, as ``dataclasses.replace`` does in a fifth of the time.

    For what a simulation does a million times: names and types are nobody's business here.
    """
    made: Some = object.__new__(fact.__class__)
    made.__dict__.update(fact.__dict__, **changes)
    return made
