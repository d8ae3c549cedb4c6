"""The help of the commands: options and commands in sections, and examples as lines that can be copied.

typer calls these methods to write the help. They replace the words of typer for defaults, environment variables and
types by the words of gitsnap's documents.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from typer.core import TyperCommand, TyperGroup

from gitsnap.core.errors import UsageError

_NARROW = 70
"""On a narrower terminal, the column of names is narrower."""
_NAMES, _NAMES_IF_NARROW = 30, 20
"""The largest width of the column of names."""
_LEAST = 20
"""The smallest width of a description."""
_EXAMPLE = "Example: "
_PROGRAM = "gitsnap"
_MENTION = re.compile(rf"(?<![\w/.-])(?<!-- ){_PROGRAM} (?=[A-Za-z-])")
"""The name of the program before a command or an option, except after `kubectl exec … --`."""
_PATHS = frozenset({"path", "file", "directory"})
"""The names of Click's types for paths."""
_WORD = re.compile(r"(?:'[^']*'|\S)+")


class HelpfulCommand(TyperCommand):
    """A command whose help has its options in the sections of ``help_sections``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments and options. Raises UsageError for an empty value, or for an argument too many."""
        if not ctx.resilient_parsing:
            self._refuse_empty_values(ctx, args)
        is_strict, ctx.allow_extra_args = not ctx.allow_extra_args, True
        rest: list[str] = super().parse_args(ctx, args)
        if is_strict and ctx.args and not ctx.resilient_parsing:
            hint = f"Usage: {ctx.command_path} {' '.join(self.collect_usage_pieces(ctx))}."
            if any("--snapshot" in parameter.opts for parameter in self.params):
                hint += " A policy is named with --snapshot."
            raise UsageError(f"{ctx.args[0]}: one argument too many", hint=hint)
        return rest

    def _refuse_empty_values(self, ctx: Any, args: list[str]) -> None:
        """Raise UsageError for an option or a path with an empty value, such as an unset variable of a script.

        An empty value would select everything, or the current folder.
        """
        if not any(word == "" or word.endswith("=") for word in args):
            return
        values, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in () if values.get("help") else self.params:
            value = values.get(parameter.name or "")
            written = value if isinstance(value, (list, tuple)) else [value]
            is_option = parameter.param_type_name == "option"
            if "--output" in parameter.opts and parameter.type.name not in _PATHS:
                continue  # the error of the option names the formats
            if "" in written and (is_option or parameter.type.name in _PATHS):
                name = max(parameter.opts, key=len) if is_option else parameter.make_metavar(ctx).strip("[]")
                raise UsageError(f"{name}: the value is empty", hint=f"Give a value, or omit {name}.")

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line. A required argument has no braces."""
        return [piece.removeprefix("{").removesuffix("}") for piece in super().collect_usage_pieces(ctx)]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write the description and then the examples, each on lines that a shell accepts."""
        paragraphs = [" ".join(paragraph.split()) for paragraph in (self.help or "").split("\n\n")]
        examples = [text.removeprefix(_EXAMPLE) for text in paragraphs if text.startswith(_EXAMPLE)]
        description = "\n\n".join(text for text in paragraphs if not text.startswith(_EXAMPLE))
        program = _program(ctx)
        formatter.write_paragraph()
        with formatter.indentation():
            _write_text(formatter, _as_called(description, program))
        if examples:
            with formatter.section("Examples" if len(examples) > 1 else "Example"):
                for example in examples:
                    width = formatter.width - formatter.current_indent
                    _write_lines(formatter, _command_lines(_as_called(example, program), width))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, and the options in sections."""
        from gitsnap.cli.help_sections import arrange

        listed: list[Any] = self.get_params(ctx)
        parameters = [parameter for parameter in listed if not parameter.hidden]
        arguments = [parameter for parameter in parameters if parameter.param_type_name == "argument"]
        _write_section(ctx, formatter, "Arguments", arguments)
        options = {max(parameter.opts, key=len): parameter for parameter in parameters if parameter not in arguments}
        for section, names in arrange(self.name or "", options).items():
            _write_section(ctx, formatter, section, [options[name] for name in names])


class SectionedGroup(TyperGroup):
    """A group of commands whose help has the commands in sections."""

    sections: Mapping[str, Sequence[str]]
    """For each section, the names of its commands. The other commands follow in a section of their own."""

    def __init__(self, *, sections: Mapping[str, Sequence[str]] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.sections = sections or {}

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands in sections, and then the options."""
        placed = {name for names in self.sections.values() for name in names}
        others = [name for name in self.list_commands(ctx) if name not in placed]
        for section, names in (*self.sections.items(), ("Other commands" if placed else "Commands", others)):
            rows = [(name, self.commands[name].help or "") for name in names if name in self.commands]
            _write_rows(formatter, section, rows)
        _write_section(ctx, formatter, "Options", self.get_params(ctx))


def described(parameter: Any, ctx: Any) -> str:
    """Return the help text of an argument or option, with its default or with `Required.`."""
    text = parameter.help or ""
    if parameter.required:
        return f"{text} Required."
    shown = parameter.show_default
    default = shown if isinstance(shown, str) else parameter.get_default(ctx, call=False) if shown else None
    if isinstance(default, Enum):
        default = default.value
    if default in (None, "", ()) or isinstance(default, bool):
        return text
    return f"{text} Default: {default:g}." if isinstance(default, float) else f"{text} Default: {default}."


def _write_text(formatter: Any, text: str) -> None:
    paragraphs = text.split("\n\n")
    for number, paragraph in enumerate(paragraphs):
        if number:
            formatter.write_paragraph()
        _write_lines(formatter, _lines(paragraph, formatter.width - formatter.current_indent))


def _write_lines(formatter: Any, lines: Iterable[str]) -> None:
    formatter.write("".join(f"{'':{formatter.current_indent}}{line}\n" for line in lines))


def _lines(text: str, width: int) -> list[str]:
    """Return the lines of a paragraph. Lines break between words only, not inside names such as ``--dry-run``."""
    return textwrap.wrap(text, max(width, _LEAST), break_on_hyphens=False, break_long_words=False)


def _write_section(ctx: Any, formatter: Any, title: str, parameters: Iterable[Any]) -> None:
    rows = [(_names(parameter, ctx), _as_called(described(parameter, ctx), _program(ctx))) for parameter in parameters]
    _write_rows(formatter, title, rows)


def _write_rows(formatter: Any, title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Write a section with two columns. A name that is too long for its column has a line of its own."""
    if not rows:
        return
    limit = _NAMES if formatter.width >= _NARROW else _NAMES_IF_NARROW
    column = min(max(len(name) for name, _ in rows), limit) + 2
    with formatter.section(title):
        for name, text in rows:
            lines = _lines(text, formatter.width - formatter.current_indent - column)
            first = (
                f"{name:{column}}" if len(name) <= column - 2 else f"{name}\n{'':{formatter.current_indent + column}}"
            )
            _write_lines(formatter, [first + "".join(lines[:1]), *(f"{'':{column}}{line}" for line in lines[1:])])


def _names(parameter: Any, ctx: Any) -> str:
    """Return ``-o, --output table|json|yaml``."""
    metavar = parameter.make_metavar(ctx=ctx)
    if parameter.param_type_name == "argument":
        return str(metavar)
    names = ", ".join(sorted(parameter.opts, key=len))
    return names if parameter.is_flag else f"{names} {metavar}"


def _program(ctx: Any) -> str:
    return ctx.find_root().info_name or _PROGRAM


def _as_called(text: str, program: str) -> str:
    """Return the text with the name under which the program was called, such as ``kubectl gitsnap``."""
    return _MENTION.sub(f"{program} ", text)


def _command_lines(command: str, width: int) -> Iterator[str]:
    """Yield the lines of a command. Each line but the last ends in a backslash, so that the lines can be copied."""
    line = ""
    for word in _words_of_options(command):
        if line and len(line) + 1 + len(word) + 2 > width:
            yield f"{line} \\"
            line = f"    {word}"
        else:
            line = f"{line} {word}" if line else word
    yield line


def _words_of_options(command: str) -> list[str]:
    """Return the words of a command. An option and its value are one word: no line ends between them."""
    words: list[str] = []
    for word in _WORD.findall(command):
        if words and re.fullmatch(r"--?[\w-]+", words[-1]) and not word.startswith("-"):
            words[-1] += f" {word}"
        else:
            words.append(word)
    return words
