"""The message of a sample or of another record: the reason that the user gives, such as a ticket.

A tag has the whole text in one percent-encoded line. A commit and a terminal show its unsafe characters as escapes.
"""

from __future__ import annotations

from gitsnap.core.errors import UsageError

MOST_CHARACTERS = 4000
"""A limit, because every command that lists samples reads the messages of all samples."""


def check_message(text: str) -> str:
    """Return the message to record: without white space at both ends, and with LF as the line break.

    Raises UsageError for an empty message and for a long one.
    """
    message = text.replace("\r\n", "\n").strip()
    if not message:
        raise UsageError("the message is empty", hint="Give a reason with --message, such as a ticket, or omit it.")
    if len(message) > MOST_CHARACTERS:
        raise UsageError(
            f"the message has {len(message)} characters, and at most {MOST_CHARACTERS} are recorded",
            hint="Give a short reason, and the address of the document that has the details.",
        )
    return message


def first_line(message: str) -> str:
    """The first line of a message for a table or a list, with ``…`` if there are more lines."""
    line, _, rest = message.partition("\n")
    return f"{line.rstrip()} …" if rest else line
