"""An index of objects by their labels, which evaluates a label selector for all objects at once.

The index numbers the objects. A set of objects is an integer with a bit for each object, and the index has such a set
for every label key and value. To evaluate a selector takes a few logical operations on integers.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import reduce
from operator import or_
from typing import Any, Protocol, TypeVar

from gitsnap.kube.label_selectors import is_beyond, selector_matches


class Namespaced(Protocol):
    """A hashable reference to an object that may have a namespace."""

    @property
    def namespace(self) -> str:
        """The namespace, ``""`` without one."""


T = TypeVar("T", bound=Namespaced)


def select(
    labels: Mapping[T, Mapping[str, str]], selector: Mapping[str, Any], *, namespace: str = ""
) -> AbstractSet[T]:
    """The objects whose labels a selector matches. ``namespace`` limits them to a namespace.

    ``labels``: the labels of each object. A LabelIndex gives the same result without comparing the labels of each.
    """
    if isinstance(labels, LabelIndex):
        return labels.select(selector, namespace=namespace)
    return frozenset(
        obj for obj, own in labels.items() if namespace in ("", obj.namespace) and selector_matches(selector, own)
    )


def collect(labels: Mapping[T, Mapping[str, str]], objects: Iterable[T]) -> AbstractSet[T]:
    """A set of objects: a set of the index if ``labels`` is a LabelIndex, because unions of such sets are fast."""
    return labels.collect(objects) if isinstance(labels, LabelIndex) else frozenset(objects)


class LabelIndex(dict[T, Mapping[str, str]]):
    """The labels of each object, with an index from labels to objects. Objects are added, never removed."""

    def __init__(self) -> None:
        super().__init__()
        self._objects: list[T] = []
        self._numbers: dict[T, int] = {}
        self._by_value: dict[str, dict[str, int]] = {}
        """Label key -> value -> the objects with this label."""
        self._by_namespace: dict[str, int] = {}
        self._malformed = 0
        """The objects with a label value that is not a string. Only a folder of files can have them."""

    def add(self, obj: T, labels: Mapping[str, str]) -> None:
        """Add an object, or replace the labels of an object."""
        number = self._numbers.get(obj)
        if number is None:
            number = self._numbers[obj] = len(self._objects)
            self._objects.append(obj)
            self._by_namespace[obj.namespace] = self._by_namespace.get(obj.namespace, 0) | 1 << number
        bit = 1 << number
        if self._malformed & bit:
            self._malformed ^= bit
        else:
            for key, value in self.get(obj, {}).items():
                self._by_value[key][value] ^= bit
        self[obj] = labels
        if not all(isinstance(value, str) for value in labels.values()):
            self._malformed |= bit
            return
        for key, value in labels.items():
            values = self._by_value.setdefault(key, {})
            values[value] = values.get(value, 0) | bit

    def copied(self) -> LabelIndex[T]:
        """A copy that can be changed independently."""
        copy = LabelIndex[T]()
        copy.update(self)
        copy._objects, copy._numbers = list(self._objects), dict(self._numbers)
        copy._by_value = {key: dict(values) for key, values in self._by_value.items()}
        copy._by_namespace, copy._malformed = dict(self._by_namespace), self._malformed
        return copy

    # Sets of objects --------------------------------------------------------------------------------------------------

    def select(self, selector: Mapping[str, Any], *, namespace: str = "") -> IndexedSet[T]:
        """The objects whose labels a selector matches. ``namespace`` limits them to a namespace.

        ``selector`` has the form of ``labelSelector`` in the Kubernetes API; an empty selector matches every object.
        """
        bits = self._by_namespace.get(namespace, 0) if namespace else (1 << len(self._objects)) - 1
        malformed = bits & self._malformed
        bits ^= malformed
        required, requirements = selector.get("matchLabels") or {}, selector.get("matchExpressions") or ()
        for key, value in required.items():
            bits &= self._by_value.get(key, {}).get(value, 0)
        for requirement in requirements:
            if not bits:
                break
            bits &= self._meeting(requirement)
        for obj in self.objects_of(malformed) if malformed else ():
            if selector_matches(selector, self[obj]):
                bits |= 1 << self._numbers[obj]
        return IndexedSet(self, bits)

    def collect(self, objects: Iterable[T]) -> AbstractSet[T]:
        """A set of these objects. It is an IndexedSet if the index has all of them."""
        bits, others = 0, []
        for obj in objects:
            number = self._numbers.get(obj)
            if number is None:
                others.append(obj)
            else:
                bits |= 1 << number
        return frozenset(others).union(self.objects_of(bits)) if others else IndexedSet(self, bits)

    def _meeting(self, requirement: Mapping[str, Any]) -> int:
        """The objects that meet a requirement, as ``requirement_matches`` decides. May have bits without an object."""
        by_value = self._by_value.get(str(requirement.get("key", "")), {})
        values = requirement.get("values") or ()
        match requirement.get("operator"):
            case "In":
                return _union(by_value.get(value, 0) for value in values if isinstance(value, str))
            case "NotIn":
                return ~_union(by_value.get(value, 0) for value in values if isinstance(value, str))
            case "Exists":
                return _union(by_value.values())
            case "DoesNotExist":
                return ~_union(by_value.values())
            case "Gt" | "Lt" as operator:
                return _union(bits for value, bits in by_value.items() if is_beyond(value, operator, values))
            case _:
                return 0

    def objects_of(self, bits: int) -> Iterator[T]:
        """The objects of a set, in the order in which they were added."""
        text = f"{bits:b}"[::-1]
        number = text.find("1")
        while number >= 0:
            yield self._objects[number]
            number = text.find("1", number + 1)

    def holds(self, bits: int, obj: object) -> bool:
        """Whether a set has an object."""
        number = self._numbers.get(obj)  # type: ignore[call-overload]
        return number is not None and bool(bits >> number & 1)


def _union(sets: Iterable[int]) -> int:
    return reduce(or_, sets, 0)


class IndexedSet(AbstractSet[T]):
    """An immutable set of objects of a LabelIndex. Later changes of the index do not change the set."""

    __slots__ = ("_bits", "_index")

    def __init__(self, index: LabelIndex[T], bits: int) -> None:
        self._index = index
        self._bits = bits

    def __contains__(self, obj: object) -> bool:
        """Whether the set has an object."""
        return self._index.holds(self._bits, obj)

    def __iter__(self) -> Iterator[T]:
        """The objects, in the order of the index."""
        return self._index.objects_of(self._bits)

    def __len__(self) -> int:
        """The number of objects."""
        return self._bits.bit_count()

    def __or__(self, other: AbstractSet[Any]) -> AbstractSet[Any]:
        """The union. It is an IndexedSet if both are sets of the same index."""
        if isinstance(other, IndexedSet) and other._index is self._index:
            return IndexedSet(self._index, self._bits | other._bits)
        return super().__or__(other) if other else self

    __ror__ = __or__

    @classmethod
    def _from_iterable(
        cls, objects: Iterable[Hashable]
    ) -> AbstractSet[Any]:  # the operators that Set provides use this
        return frozenset(objects)
