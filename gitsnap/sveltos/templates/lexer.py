"""Splits a template into texts and actions, and an action into tokens, by the rules of Go's ``text/template/parse``."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

from gitsnap.sveltos.templates.errors import TemplateError

_SPACE = " \t\r\n"
_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
    |(?P<string>"(?:[^"\\\n]|\\[^\n])*")
    |(?P<raw>`[^`\r]*`)
    |(?P<number>-?(?:0|[1-9][0-9]*)(?![\w.]))
    |(?P<field>\.[A-Za-z_][A-Za-z0-9_]*)
    |(?P<root>\$)(?=\.)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<open>\()
    |(?P<close>\))
    |(?P<pipe>\|)
    """,
    re.VERBOSE | re.ASCII,
)
_TERMINATOR = re.compile(r"[ \t\r\n.|()]|}}")
_END = re.compile(r"(?:[ \t\r\n]+-)?}}")
_COMMENT = re.compile(r"/\*.*?\*/((?:[ \t\r\n]-)?)}}", re.DOTALL)


class TokenType(enum.Enum):
    """The type of a token."""

    SPACE = "space"
    STRING = "string"
    RAW = "raw"
    NUMBER = "number"
    FIELD = "field"
    ROOT = "root"
    WORD = "word"
    OPEN = "open"
    CLOSE = "close"
    PIPE = "pipe"


_NEED_TERMINATOR = frozenset({TokenType.NUMBER, TokenType.FIELD, TokenType.WORD})
"""Tokens that a space or a punctuation mark must follow (``lexer.atTerminator`` in Go)."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of an action. A run of spaces is a token, because spaces separate arguments."""

    type: TokenType
    text: str


Action = list[Token]


def split_template(template: str) -> Iterator[str | Action]:
    """The texts and actions of a template in their order, without comments.

    White space next to ``{{-`` and ``-}}`` is trimmed from the texts. Raises TemplateError for a malformed template and
    for tokens that gitsnap does not support.
    """
    position = 0
    trim = False
    while True:
        start = template.find("{{", position)
        piece = template[position:] if start < 0 else template[position:start]
        if trim:
            piece = piece.lstrip(_SPACE)
        if start < 0:
            if piece:
                yield piece
            return
        inner = start + 2
        if template[inner : inner + 1] == "-" and template[inner + 1 : inner + 2] in tuple(_SPACE):
            piece = piece.rstrip(_SPACE)
            inner += 2
        if piece:
            yield piece
        if template.startswith("/*", inner):
            comment = _COMMENT.match(template, inner)
            if comment is None:
                raise TemplateError("a comment is not closed")
            trim, position = bool(comment[1]), comment.end()
            continue
        action, trim, position = _action(template, inner)
        yield action


def _action(template: str, position: int) -> tuple[Action, bool, int]:
    """The tokens up to the closing braces, whether these trim the next text, and the position after them."""
    tokens: Action = []
    while True:
        end = _END.match(template, position)
        if end is not None:
            return tokens, len(end[0]) > 2, end.end()
        match = _TOKEN.match(template, position)
        if match is None:
            raise TemplateError(f"{template[position : position + 10]!r} is not supported")
        token_type = TokenType(match.lastgroup)
        position = match.end()
        if token_type in _NEED_TERMINATOR and not _TERMINATOR.match(template, position):
            raise TemplateError(f"unexpected {template[position : position + 10]!r} after {match[0]!r}")
        tokens.append(Token(token_type, match[0]))
