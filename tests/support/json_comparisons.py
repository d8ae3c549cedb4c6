"""Finds comparisons of JSON values by ``==``, ``!=``, ``in`` and sets in the source, where ``true`` would equal ``1``.

A small type inference finds the expressions that may be JSON: names annotated with ``JsonObject``, ``Any`` or a
collection of them, calls and attributes with such an annotation anywhere in the package, and values derived from these
by subscripts, ``get``, loops and assignments. A comparison with text is exact and is not reported.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_JSON_ANNOTATION = re.compile(r"\b(?:Any|JsonObject)\b")
_OPAQUE = re.compile(r"\bobject\b")
"""The annotation of values that can only be compared."""
_MAPPING = re.compile(r"(?:dict|Mapping|JsonObject|defaultdict)\b")
_LOOSE = re.compile(r"\b(?:int|bool|float)\b")
_WORD = re.compile(r"\w+")
_CALLABLE = re.compile(r"\bCallable\b")
_PARSERS = frozenset({"loads", "decode_json", "deepcopy", "copy_json"})
_ACCESSORS = frozenset({"get", "pop", "setdefault", "items", "values", "copy"})
_PASSING = frozenset({"sorted", "list", "tuple", "reversed", "next", "dict", "zip", "enumerate", "iter", "cast"})
"""Calls whose result is JSON if an argument is JSON."""
_BY_HASH = frozenset({"set", "frozenset", "Counter", "fromkeys"})
_EXACT_METHODS = frozenset({"index", "count", "remove"})
_TEXT_CALLS = frozenset({"str", "repr", "len", "type", "id", "bool", "isinstance", "hash", "any", "all", "join", "of"})


@dataclass
class Declarations:
    """Names of functions and attributes: those with a JSON annotation anywhere, and those without."""

    json: set[str] = field(default_factory=set)
    mappings: set[str] = field(default_factory=set)
    """The names in ``json`` that are mappings. A loop over a mapping yields keys, which are text or frozen values."""
    loose: set[str] = field(default_factory=set)
    """Names declared with a type whose values may equal JSON of another type, such as ``int``."""
    other: set[str] = field(default_factory=set)
    fields: dict[str, dict[str, ast.expr]] = field(default_factory=dict)
    """Class -> its annotated attributes and properties."""
    returns: dict[str, list[ast.expr]] = field(default_factory=dict)
    """Function name -> the return annotations of all functions with this name."""

    def add(self, name: str, annotation: ast.expr | None) -> None:
        """Record an annotation."""
        if annotation is None:
            return
        if is_json_annotation(annotation):
            self.json.add(name)
            if _MAPPING.match(ast.unparse(annotation)):
                self.mappings.add(name)
        elif _LOOSE.search(ast.unparse(annotation)):
            self.loose.add(name)
        else:
            self.other.add(name)

    def classes_in(self, annotation: ast.expr | None) -> frozenset[str]:
        """The classes of the package that an annotation names."""
        words = _WORD.findall(ast.unparse(annotation)) if annotation is not None else ()
        return frozenset(word for word in words if word in self.fields)

    def is_exact(self, name: str) -> bool:
        """Whether the name is nowhere declared as a thing that equals JSON of another type."""
        return name in self.other and name not in self.json and name not in self.loose


def is_json_annotation(annotation: ast.expr) -> bool:
    """Whether a value of this type is JSON or a collection of JSON."""
    text = ast.unparse(annotation).strip("\"'")
    return bool(_JSON_ANNOTATION.search(text)) and not _CALLABLE.search(text)


def declarations(trees: Iterable[ast.Module]) -> Declarations:
    """The declarations in the annotations of a package."""
    found = Declarations()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.returns is not None:
                found.add(node.name, node.returns)
                found.returns.setdefault(node.name, []).append(node.returns)
                if _OPAQUE.search(ast.unparse(node.returns)):
                    found.json.add(node.name)
            elif isinstance(node, ast.ClassDef):
                _add_class(found, node)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
                found.add(node.target.attr, node.annotation)
    return found


def _add_class(found: Declarations, node: ast.ClassDef) -> None:
    fields = found.fields.setdefault(node.name, {})
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found.add(statement.target.id, statement.annotation)
            fields[statement.target.id] = statement.annotation
        elif isinstance(statement, ast.FunctionDef) and statement.returns and statement.decorator_list:
            fields[statement.name] = statement.returns


class _Scope:
    """The names of a function that may be JSON. Several passes: a use may precede its assignment."""

    def __init__(self, body: ast.AST, declared: Declarations, outer: frozenset[str]) -> None:
        self._declared = declared
        self.names = set(outer)
        self._plain: set[str] = set()
        """Names declared with another type."""
        self._loose: set[str] = set()
        self._mappings: set[str] = set()
        self._classes: dict[str, frozenset[str]] = {}
        """Names -> the classes that their values may be of."""
        if isinstance(body, ast.FunctionDef | ast.Lambda):
            arguments = body.args
            for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                self._declare(argument.arg, argument.annotation)
        before = -1
        while before != len(self.names):
            before = len(self.names)
            for node in ast.walk(body):
                self._learn(node)

    def _declare(self, name: str, annotation: ast.expr | None) -> None:
        self.names.discard(name)
        if annotation is None:
            return
        self._classes[name] = self._declared.classes_in(annotation)
        if is_json_annotation(annotation):
            self.names.add(name)
            if _MAPPING.match(ast.unparse(annotation)):
                self._mappings.add(name)
            return
        self._plain.add(name)
        if _LOOSE.search(ast.unparse(annotation)):
            self._loose.add(name)

    def is_exact(self, node: ast.expr) -> bool:
        """Whether only values of the same type are equal to the expression: text, and frozen values without numbers."""
        if isinstance(node, ast.Constant):
            return node.value is None or isinstance(node.value, str | bytes)
        if isinstance(node, ast.JoinedStr):
            return True
        if isinstance(node, ast.Call):
            called = _name_of(node.func)
            if isinstance(node.func, ast.Attribute) and called == "get" and self.is_exact(node.func.value):
                return True
            return called in _TEXT_CALLS or self._declared.is_exact(called)
        if isinstance(node, ast.Subscript):
            return self.is_exact(node.value)
        if isinstance(node, ast.Name):
            return node.id.isupper() or (node.id in self._plain and node.id not in self._loose)
        return isinstance(node, ast.Attribute) and (node.attr.isupper() or self._declared.is_exact(node.attr))

    def is_exact_collection(self, node: ast.expr) -> bool:
        """Whether a membership test compares values of equal types."""
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            return all(map(self.is_exact, node.elts))
        return self.is_exact(node)

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind(target, node.value)
        elif isinstance(node, ast.NamedExpr):
            self._bind(node.target, node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            self._declare(node.target.id, node.annotation)
        elif isinstance(node, ast.For | ast.comprehension):
            self._bind_loop(node.target, node.iter)

    def _bind_loop(self, target: ast.expr, iterated: ast.expr) -> None:
        """The targets of a loop, position by position where a call pairs several things up."""
        if isinstance(target, ast.Tuple) and isinstance(iterated, ast.Call):
            called = _name_of(iterated.func)
            if called == "items" and len(target.elts) == 2:
                self._bind(target.elts[1], iterated)
                return
            if called == "enumerate" and len(target.elts) == 2:
                self._bind_loop(target.elts[1], iterated.args[0])
                return
            if called == "zip" and len(iterated.args) == len(target.elts):
                for element, argument in zip(target.elts, iterated.args, strict=True):
                    self._bind_loop(element, argument)
                return
        if not self.gives_keys(iterated):
            self._bind(target, iterated)

    def gives_keys(self, iterated: ast.expr) -> bool:
        """Whether a loop over this goes through the keys of a mapping."""
        if isinstance(iterated, ast.Call):
            passed = _name_of(iterated.func) in _PASSING and len(iterated.args) == 1
            return _name_of(iterated.func) == "keys" or (passed and self.gives_keys(iterated.args[0]))
        if isinstance(iterated, ast.BoolOp):  # document.get("data") or {}
            return isinstance(iterated.values[-1], ast.Dict)
        if isinstance(iterated, ast.Name):
            return iterated.id in self._mappings
        if not isinstance(iterated, ast.Attribute):
            return False
        known = self._field_types(iterated)
        return _is_mapping(known) if known else iterated.attr in self._declared.mappings

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
                for element, part in zip(target.elts, value.elts, strict=True):
                    self._bind(element, part)
                return
            for element in target.elts:
                self._bind(element, value)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, value)
        elif isinstance(target, ast.Name):
            if target.id not in self._classes and (classes := self._classes_of(value)):
                self._classes[target.id] = classes
            self._bind_name(target, value)

    def _bind_name(self, target: ast.Name, value: ast.expr) -> None:
        if target.id not in self._plain and self.is_json(value):
            self.names.add(target.id)
            if self.gives_keys(value):
                self._mappings.add(target.id)

    def is_json(self, node: ast.expr) -> bool:  # noqa: C901, PLR0912 - a case for each form of expression
        """Whether an expression may have a JSON value."""
        if isinstance(node, ast.Name):
            return node.id in self.names
        if isinstance(node, ast.Attribute):
            annotations = self._field_types(node)
            if annotations:
                return any(is_json_annotation(known) or _OPAQUE.search(ast.unparse(known)) for known in annotations)
            return node.attr in self._declared.json
        if isinstance(node, ast.Subscript):
            return self.is_json(node.value) and not isinstance(node.slice, ast.Slice | ast.Tuple)
        if isinstance(node, ast.Call):
            return self._is_json_call(node)
        if isinstance(node, ast.BoolOp):
            return any(map(self.is_json, node.values))
        if isinstance(node, ast.IfExp):
            return self.is_json(node.body) or self.is_json(node.orelse)
        if isinstance(node, ast.NamedExpr | ast.Starred | ast.Await):
            return self.is_json(node.value)
        if isinstance(node, ast.BinOp):
            return self.is_json(node.left) or self.is_json(node.right)
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            return any(map(self.is_json, node.elts))
        if isinstance(node, ast.Dict):
            return any(map(self.is_json, node.values))
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
            return self.is_json(node.elt)
        if isinstance(node, ast.DictComp):
            return self.is_json(node.value)
        return False

    def _field_types(self, node: ast.Attribute) -> list[ast.expr]:
        """The annotations of an attribute in the classes that its object may be of; none where that is unknown."""
        fields = [self._declared.fields[name] for name in self._classes_of(node.value)]
        return [declared[node.attr] for declared in fields if node.attr in declared]

    def _classes_of(self, node: ast.expr) -> frozenset[str]:
        if isinstance(node, ast.Name):
            return self._classes.get(node.id, frozenset())
        if isinstance(node, ast.Attribute):
            return frozenset[str]().union(*map(self._declared.classes_in, self._field_types(node)))
        if isinstance(node, ast.Call):
            return frozenset[str]().union(
                *map(self._declared.classes_in, self._declared.returns.get(_name_of(node.func), ()))
            )
        return self._classes_of(node.value) if isinstance(node, ast.Subscript) else frozenset()

    def _is_json_call(self, node: ast.Call) -> bool:
        called = _name_of(node.func)
        if called in _TEXT_CALLS or (called == "decode" and isinstance(node.func, ast.Attribute) and not node.args):
            return False
        if called in _PARSERS:
            return True
        if isinstance(node.func, ast.Attribute) and called in _ACCESSORS:
            return self.is_json(node.func.value) or any(map(self.is_json, node.args[1:]))
        if called in _PASSING:
            return any(map(self.is_json, node.args))
        return called in self._declared.json


def _is_mapping(annotations: list[ast.expr]) -> bool:
    return all(_MAPPING.match(ast.unparse(annotation)) for annotation in annotations)


def _name_of(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


@dataclass(frozen=True)
class Found:
    """A comparison and its location."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def comparisons(source: str, path: str, declared: Declarations) -> list[Found]:
    """The comparisons of JSON values in a module."""
    tree = ast.parse(source)
    return sorted(set(_in_body(tree, path, declared, frozenset())), key=lambda found: found.line)


def _in_body(body: ast.AST, path: str, declared: Declarations, outer: frozenset[str]) -> Iterator[Found]:
    scope = _Scope(body, declared, outer)
    waiting = list(ast.iter_child_nodes(body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            yield from _in_body(node, path, declared, frozenset(scope.names) if _is_inner(body) else frozenset())
            continue
        waiting += ast.iter_child_nodes(node)
        if any(_offences(node, scope)):
            yield Found(path, getattr(node, "lineno", 0), ast.unparse(node))


def _is_inner(body: ast.AST) -> bool:
    return isinstance(body, ast.FunctionDef | ast.Lambda)


def _offences(node: ast.AST, scope: _Scope) -> Iterator[bool]:
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        for (left, right), operator in zip(itertools.pairwise(operands), node.ops, strict=True):
            if isinstance(operator, ast.Eq | ast.NotEq):
                yield (scope.is_json(left) and not scope.is_exact(right)) or (
                    scope.is_json(right) and not scope.is_exact(left)
                )
            elif isinstance(operator, ast.In | ast.NotIn):
                yield scope.is_json(left) and not scope.is_exact_collection(right)
    elif isinstance(node, ast.Call) and _name_of(node.func) in _BY_HASH:
        yield any(scope.is_json(argument) and not scope.gives_keys(argument) for argument in node.args[:1])
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _EXACT_METHODS:
        yield any(map(scope.is_json, node.args))
    elif isinstance(node, ast.SetComp):
        yield scope.is_json(node.elt)


def in_package(folder: Path) -> list[Found]:
    """The comparisons of JSON values in a package."""
    sources = {path: path.read_text() for path in sorted(folder.rglob("*.py"))}
    declared = declarations(map(ast.parse, sources.values()))
    return [
        found
        for path, source in sources.items()
        for found in comparisons(source, str(path.relative_to(folder)), declared)
    ]
