"""From tokens to something that can be evaluated: closures over the values at the dot.

All of a template is parsed before any of it is evaluated, so that a branch not taken is checked as Go checks it.
This module must not print values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gitsnap.sveltos.templates.errors import TemplateError
from gitsnap.sveltos.templates.functions import FUNCTIONS, call
from gitsnap.sveltos.templates.lexing import Action, Sort, Token, parts
from gitsnap.sveltos.templates.values import Constant, Root, Value, is_true, walk

Evaluate = Callable[[Root], Value]
_Argument = tuple[Value]
"""What a pipe hands on: one value, or none."""

_KEYWORDS = frozenset({"if", "else", "end", "range", "with", "define", "block", "template", "break", "continue", "nil"})
_PLAIN: dict[tuple[str, ...], tuple[str, ...]] = {
    ("Cluster", "metadata", "name"): ("ClusterName",),
    ("Cluster", "metadata", "namespace"): ("ClusterNamespace",),
}
"""Fields of the cluster's object that are known without it."""

_ESCAPE = re.compile(r"\\(?:([abfnrtv\\\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))")
_SHORT = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_HIGHEST = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)
_LARGEST = 2**63


@dataclass(frozen=True, slots=True)
class Print:
    """An action whose value is printed."""

    value: Evaluate


@dataclass(frozen=True, slots=True)
class Choice:
    """``if``: the first branch whose condition is true; the condition of ``else`` is None."""

    branches: tuple[tuple[Evaluate | None, tuple[Node, ...]], ...]


Node = str | Print | Choice


def parse(template: str) -> tuple[Node, ...]:
    """The nodes of a template. Raises TemplateError for what is not evaluated."""
    reader = _Template(parts(template))
    nodes, end = reader.block()
    if end is not None:
        raise TemplateError(f"{end} without if")
    return nodes


class _Template:
    """Texts and actions, gathered into nested blocks."""

    def __init__(self, pieces: Iterator[str | Action]) -> None:
        self._pieces = pieces
        self._left: Action = []

    def block(self) -> tuple[tuple[Node, ...], str | None]:
        """The nodes up to ``else`` or ``end``, and which of them it was; the rest of that action is in ``_left``."""
        nodes: list[Node] = []
        for piece in self._pieces:
            if isinstance(piece, str):
                nodes.append(piece)
                continue
            tokens = _stripped(piece)
            word = tokens[0].text if tokens and tokens[0].sort is Sort.WORD else ""
            if word in ("else", "end"):
                self._left = _stripped(tokens[1:])
                return tuple(nodes), word
            if word == "if":
                nodes.append(self._choice(_pipeline(tokens[1:])))
            else:
                nodes.append(Print(_pipeline(tokens)))
        return tuple(nodes), None

    def _choice(self, condition: Evaluate) -> Choice:
        branches: list[tuple[Evaluate | None, tuple[Node, ...]]] = []
        pending: Evaluate | None = condition
        while True:
            nodes, end = self.block()
            branches.append((pending, nodes))
            left = self._left
            if end == "end" and not left:
                return Choice(tuple(branches))
            if end != "else" or pending is None:
                raise TemplateError("an if does not end")
            if left and (left[0] != Token(Sort.WORD, "if") or len(left) == 1):
                raise TemplateError("else can be followed by if only")
            pending = _pipeline(left[1:]) if left else None


def _stripped(tokens: Action) -> Action:
    start, end = 0, len(tokens)
    while start < end and tokens[start].sort is Sort.SPACE:
        start += 1
    while end > start and tokens[end - 1].sort is Sort.SPACE:
        end -= 1
    return tokens[start:end]


def _pipeline(tokens: Action) -> Evaluate:
    reader = _Tokens(tokens)
    value = reader.pipeline()
    if reader.peek() is not None:
        raise TemplateError("a parenthesis too many")
    return value


class _Tokens:
    """The tokens of one action, read from left to right."""

    def __init__(self, tokens: Action) -> None:
        self._tokens = tokens
        self._position = 0

    def peek(self) -> Token | None:
        """The next token, None at the end."""
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _next_is(self, sort: Sort) -> bool:
        token = self.peek()
        return token is not None and token.sort is sort

    def _take(self, sort: Sort) -> bool:
        if self._next_is(sort):
            self._position += 1
            return True
        return False

    def pipeline(self) -> Evaluate:
        """Commands with ``|`` between them, up to the end or a closing parenthesis."""
        first = self._command(piped=False)
        commands = []
        while self._take(Sort.PIPE):
            commands.append(self._command(piped=True))

        def evaluate(root: Root) -> Value:
            value = first(root, ())
            for command in commands:
                value = command(root, (value,))
            return value

        return evaluate

    def _command(self, *, piped: bool) -> Callable[[Root, tuple[Value, ...]], Value]:
        """A function with its arguments, or a single value."""
        self._take(Sort.SPACE)
        token = self.peek()
        if token is not None and token.sort is Sort.WORD and token.text in FUNCTIONS:
            self._position += 1
            return _called(token.text, self._arguments(parted=self._take(Sort.SPACE)))
        if piped:
            raise TemplateError("what follows a pipe is no function that is evaluated")
        value = self._operand()
        if self._arguments(parted=self._take(Sort.SPACE)):
            raise TemplateError("a value takes no arguments")
        return lambda root, _: value(root)

    def _arguments(self, *, parted: bool) -> list[Evaluate]:
        """Operands with spaces between them. Raises TemplateError for two that touch each other."""
        found: list[Evaluate] = []
        while (token := self.peek()) is not None and token.sort not in (Sort.PIPE, Sort.CLOSE):
            if not parted:
                raise TemplateError("values touch each other")
            found.append(self._operand())
            parted = self._take(Sort.SPACE)
        return found

    def _operand(self) -> Evaluate:
        """A literal, a field, a call without arguments, or a pipeline in parentheses with fields behind it."""
        token = self.peek()
        if token is None:
            raise TemplateError("a value is missing")
        self._position += 1
        if token.sort is Sort.OPEN:
            return self._parenthesis()
        if token.sort is Sort.FIELD:
            return _field((token.text[1:], *self._fields()))
        if token.sort is Sort.ROOT:
            return _field(self._fields())
        value = _literal(token)
        if self._next_is(Sort.FIELD):
            raise TemplateError("a literal has no fields")
        return value

    def _parenthesis(self) -> Evaluate:
        inner = self.pipeline()
        if not self._take(Sort.CLOSE):
            raise TemplateError("a parenthesis does not close")
        path = self._fields()
        return (lambda root: walk(inner(root), path, start="(…)")) if path else inner

    def _fields(self) -> tuple[str, ...]:
        names = []
        while (token := self.peek()) is not None and token.sort is Sort.FIELD:
            names.append(token.text[1:])
            self._position += 1
        return tuple(names)


def _called(name: str, arguments: list[Evaluate]) -> Callable[[Root, tuple[Value, ...]], Value]:
    if name in ("and", "or"):
        return lambda root, piped: _decided(name, root, arguments, piped)
    return lambda root, piped: call(name, [*(argument(root) for argument in arguments), *piped])


def _decided(name: str, root: Root, arguments: list[Evaluate], piped: tuple[Value, ...]) -> Value:
    """``and`` and ``or``: the first argument that decides; what stands behind it is not evaluated."""
    value: Any = None
    count = 0
    for argument in [*arguments, *((lambda _, last=last: last) for last in piped)]:
        count += 1
        value = argument(root)
        if is_true(value) == (name == "or"):
            return value
    return call(name, [value] * count)


def _field(path: tuple[str, ...]) -> Evaluate:
    shorter = _PLAIN.get(path, path)
    return lambda root: walk(root, shorter)


def _literal(token: Token) -> Evaluate:
    value: Value
    if token.sort is Sort.STRING:
        value = _unquoted(token.text)
    elif token.sort is Sort.RAW:
        value = token.text[1:-1]
    elif token.sort is Sort.NUMBER:
        value = Constant(token.text)
        if not -_LARGEST <= value < _LARGEST:
            raise TemplateError(f"{token.text} is too large")
    elif token.text in ("true", "false"):
        value = token.text == "true"
    elif token.text in FUNCTIONS:
        raise TemplateError(f"{token.text} as an argument needs parentheses")
    elif token.text in _KEYWORDS:
        raise TemplateError(f"{token.text} is not evaluated")
    else:
        raise TemplateError(f"the function {token.text} is not evaluated" if token.sort is Sort.WORD else "no value")
    return lambda _: value


def _unquoted(literal: str) -> str:
    """The text of a string in double quotes, with Go's escapes."""

    def replaced(match: re.Match[str]) -> str:
        """The character of one escape. Raises TemplateError for what is none."""
        short, byte, four, eight, octal, wrong = match.groups()
        if short:
            return _SHORT[short]
        if wrong is not None:
            raise TemplateError(f"\\{wrong} is no escape in Go")
        code = int(octal, 8) if octal else int(byte or four or eight, 16)
        # Bytes of a string that is not UTF-8 cannot be told apart from characters here.
        if ((byte or octal) and code > 0x7F) or code > _HIGHEST or code in _SURROGATES:
            raise TemplateError("a byte that is no character")
        return chr(code)

    return _ESCAPE.sub(replaced, literal[1:-1])
