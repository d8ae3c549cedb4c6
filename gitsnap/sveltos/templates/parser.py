"""Parses a template into nodes. Actions and conditions become functions of the Root.

The whole template is parsed before any part is evaluated. A mistake in a branch that is not taken is therefore an
error, as in Go. The grammar is that of Go's ``text/template/parse``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gitsnap.sveltos.templates.errors import TemplateError
from gitsnap.sveltos.templates.functions import FUNCTIONS, call
from gitsnap.sveltos.templates.lexer import Action, Token, TokenType, split_template
from gitsnap.sveltos.templates.values import Constant, Root, Value, is_true, walk

Expression = Callable[[Root], Value]
"""Computes a value from the Root."""
_Command = Callable[[Root, tuple[Value, ...]], Value]
"""An expression in a pipeline. The tuple contains the value of the previous command, if there is one."""

_KEYWORDS = frozenset({"if", "else", "end", "range", "with", "define", "block", "template", "break", "continue", "nil"})
_NAME_FIELDS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("Cluster", "metadata", "name"): ("ClusterName",),
    ("Cluster", "metadata", "namespace"): ("ClusterNamespace",),
}
"""Fields of the cluster's object that are known without the object, from the name of the cluster."""

_ESCAPE = re.compile(r"\\(?:([abfnrtv\\\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))")
_SHORT_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_MAX_CODE_POINT = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)
_MAX_NUMBER = 2**63


@dataclass(frozen=True, slots=True)
class Print:
    """An action whose value is printed."""

    value: Expression


@dataclass(frozen=True, slots=True)
class If:
    """An ``if`` action. The first branch whose condition is true is rendered; the condition of ``else`` is None."""

    branches: tuple[tuple[Expression | None, tuple[Node, ...]], ...]


Node = str | Print | If


def parse_template(template: str) -> tuple[Node, ...]:
    """The nodes of a template. Raises TemplateError for a malformed template or an unsupported feature."""
    nodes, keyword = _BlockParser(split_template(template)).parse_block()
    if keyword is not None:
        raise TemplateError(f"{keyword} without if")
    return nodes


class _BlockParser:
    """Parses the texts and actions of a template into nested blocks."""

    def __init__(self, parts: Iterator[str | Action]) -> None:
        self._parts = parts
        self._rest: Action = []
        """The tokens after the ``else`` or ``end`` that ended the last block."""

    def parse_block(self) -> tuple[tuple[Node, ...], str | None]:
        """The nodes up to ``else`` or ``end``, and that keyword; None at the end of the template."""
        nodes: list[Node] = []
        for part in self._parts:
            if isinstance(part, str):
                nodes.append(part)
                continue
            tokens = _strip_spaces(part)
            keyword = tokens[0].text if tokens and tokens[0].type is TokenType.WORD else ""
            if keyword in ("else", "end"):
                self._rest = _strip_spaces(tokens[1:])
                return tuple(nodes), keyword
            if keyword == "if":
                nodes.append(self._parse_if(_parse_action(tokens[1:])))
            else:
                nodes.append(Print(_parse_action(tokens)))
        return tuple(nodes), None

    def _parse_if(self, first_condition: Expression) -> If:
        branches: list[tuple[Expression | None, tuple[Node, ...]]] = []
        condition: Expression | None = first_condition
        while True:
            nodes, keyword = self.parse_block()
            branches.append((condition, nodes))
            rest = self._rest
            if keyword == "end" and not rest:
                return If(tuple(branches))
            if keyword != "else" or condition is None:
                raise TemplateError("an if is not closed")
            if rest and (rest[0] != Token(TokenType.WORD, "if") or len(rest) == 1):
                raise TemplateError("only if can follow else")
            condition = _parse_action(rest[1:]) if rest else None


def _strip_spaces(tokens: Action) -> Action:
    start, end = 0, len(tokens)
    while start < end and tokens[start].type is TokenType.SPACE:
        start += 1
    while end > start and tokens[end - 1].type is TokenType.SPACE:
        end -= 1
    return tokens[start:end]


def _parse_action(tokens: Action) -> Expression:
    parser = _PipelineParser(tokens)
    expression = parser.parse_pipeline()
    if parser.peek() is not None:
        raise TemplateError("unexpected right parenthesis")
    return expression


class _PipelineParser:
    """Parses the tokens of one action from left to right."""

    def __init__(self, tokens: Action) -> None:
        self._tokens = tokens
        self._position = 0

    def peek(self) -> Token | None:
        """The next token, None at the end."""
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _next_is(self, token_type: TokenType) -> bool:
        token = self.peek()
        return token is not None and token.type is token_type

    def _accept(self, token_type: TokenType) -> bool:
        """Consume the next token if it has this type."""
        if self._next_is(token_type):
            self._position += 1
            return True
        return False

    def parse_pipeline(self) -> Expression:
        """Commands with ``|`` between them, up to the end of the action or a closing parenthesis."""
        first = self._parse_command(piped=False)
        commands = []
        while self._accept(TokenType.PIPE):
            commands.append(self._parse_command(piped=True))

        def evaluate(root: Root) -> Value:
            value = first(root, ())
            for command in commands:
                value = command(root, (value,))
            return value

        return evaluate

    def _parse_command(self, *, piped: bool) -> _Command:
        """A function with its arguments, or a single operand."""
        self._accept(TokenType.SPACE)
        token = self.peek()
        if token is not None and token.type is TokenType.WORD and token.text in FUNCTIONS:
            self._position += 1
            return _function_call(token.text, self._parse_arguments(separated=self._accept(TokenType.SPACE)))
        if piped:
            raise TemplateError("a pipe is not followed by a supported function")
        operand = self._parse_operand()
        if self._parse_arguments(separated=self._accept(TokenType.SPACE)):
            raise TemplateError("a value that is not a function has arguments")
        return lambda root, _: operand(root)

    def _parse_arguments(self, *, separated: bool) -> list[Expression]:
        """Operands with spaces between them. Raises TemplateError for two operands without a space."""
        arguments: list[Expression] = []
        while (token := self.peek()) is not None and token.type not in (TokenType.PIPE, TokenType.CLOSE):
            if not separated:
                raise TemplateError("a space between arguments is missing")
            arguments.append(self._parse_operand())
            separated = self._accept(TokenType.SPACE)
        return arguments

    def _parse_operand(self) -> Expression:
        """A literal, a field, or a pipeline in parentheses, optionally followed by fields."""
        token = self.peek()
        if token is None:
            raise TemplateError("a value is missing")
        self._position += 1
        if token.type is TokenType.OPEN:
            return self._parse_parenthesis()
        if token.type is TokenType.FIELD:
            return _field((token.text[1:], *self._parse_fields()))
        if token.type is TokenType.ROOT:
            return _field(self._parse_fields())
        literal = _literal(token)
        if self._next_is(TokenType.FIELD):
            raise TemplateError("a literal has no fields")
        return literal

    def _parse_parenthesis(self) -> Expression:
        inner = self.parse_pipeline()
        if not self._accept(TokenType.CLOSE):
            raise TemplateError("a parenthesis is not closed")
        path = self._parse_fields()
        return (lambda root: walk(inner(root), path, start="(…)")) if path else inner

    def _parse_fields(self) -> tuple[str, ...]:
        names = []
        while (token := self.peek()) is not None and token.type is TokenType.FIELD:
            names.append(token.text[1:])
            self._position += 1
        return tuple(names)


def _function_call(name: str, arguments: list[Expression]) -> _Command:
    if name in ("and", "or"):
        return lambda root, piped: _short_circuit(name, root, arguments, piped)
    return lambda root, piped: call(name, [*(argument(root) for argument in arguments), *piped])


def _short_circuit(name: str, root: Root, arguments: list[Expression], piped: tuple[Value, ...]) -> Value:
    """The value of ``and`` or ``or``. Arguments after the deciding argument are not evaluated, as in Go."""
    value: Any = None
    count = 0
    for argument in [*arguments, *((lambda _, last=last: last) for last in piped)]:
        count += 1
        value = argument(root)
        if is_true(value) == (name == "or"):
            return value
    return call(name, [value] * count)


def _field(path: tuple[str, ...]) -> Expression:
    root_path = _NAME_FIELDS.get(path, path)
    return lambda root: walk(root, root_path)


def _literal(token: Token) -> Expression:
    value: Value
    if token.type is TokenType.STRING:
        value = _unquote(token.text)
    elif token.type is TokenType.RAW:
        value = token.text[1:-1]
    elif token.type is TokenType.NUMBER:
        value = Constant(token.text)
        if not -_MAX_NUMBER <= value < _MAX_NUMBER:
            raise TemplateError(f"{token.text} is too large")
    elif token.text in ("true", "false"):
        value = token.text == "true"
    elif token.text in FUNCTIONS:
        raise TemplateError(f"{token.text} as an argument needs parentheses")
    elif token.text in _KEYWORDS:
        raise TemplateError(f"{token.text} is not supported")
    elif token.type is TokenType.WORD:
        raise TemplateError(f"the function {token.text} is not supported")
    else:
        raise TemplateError("a value is missing")
    return lambda _: value


def _unquote(literal: str) -> str:
    """The text of a string in double quotes, with Go's escape sequences replaced."""

    def character(match: re.Match[str]) -> str:
        """The character of one escape sequence. Raises TemplateError for a sequence that Go does not have."""
        short, byte, four_digits, eight_digits, octal, unknown = match.groups()
        if short:
            return _SHORT_ESCAPES[short]
        if unknown is not None:
            raise TemplateError(f"\\{unknown} is not an escape sequence in Go")
        code = int(octal, 8) if octal else int(byte or four_digits or eight_digits, 16)
        # A byte above 0x7F is part of a UTF-8 sequence in Go; here it would be a character of its own.
        if ((byte or octal) and code > 0x7F) or code > _MAX_CODE_POINT or code in _SURROGATES:
            raise TemplateError("an escape sequence is not a character")
        return chr(code)

    return _ESCAPE.sub(character, literal[1:-1])
