"""The values of YAML scalars by the rules of Go's library go.yaml.in/yaml/v2, which sigs.k8s.io/yaml uses.

Kubernetes, Helm, Sveltos and kubectl read YAML with that library. Its rules are those of YAML 1.1 with exceptions:
``0400`` is 256, ``yes`` and ``off`` are booleans, ``12:30:45`` and dates are text, and so is a number that fits neither
64 bits nor a float. The tests compare the results with the library itself.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import math
import re
import struct
from decimal import Decimal
from typing import Any

_TAG = "tag:yaml.org,2002:"
_RESOLVED_TAGS = frozenset(_TAG + name for name in ("str", "bool", "int", "float", "null", "timestamp"))
BINARY_TAG = _TAG + "binary"
MERGE_TAG = _TAG + "merge"

_WORDS: dict[str, Any] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_NUMERIC = frozenset("+-0123456789")
_RESOLVED_STARTS = _NUMERIC | frozenset("yYnNtTfFoO~.")
"""The first characters of scalars that may not be text."""

_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_POINT_FIRST = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?\Z")
_INTEGER = re.compile(r"([-+]?)(?:0[bB]([01]+)|0[oO]([0-7]+)|0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))\Z")
_BASES = {2: 2, 3: 8, 4: 16, 5: 8, 6: 10}
"""Group of the expression above -> base of the digits."""
_SIGNED_BINARY = re.compile(r"0b([-+][01]+)\Z")
"""Go's library reads this as a number: it removes the prefix and parses the rest with its sign."""

_LEAST, _MOST_SIGNED, _MOST = -(2**63), 2**63 - 1, 2**64 - 1
_LONGEST_INTEGER = 70
"""Characters: 64 binary digits with prefix and sign. A longer number without leading zeros is a float or text."""
_PLAIN_FLOATS_BELOW = 1e21
"""Go writes smaller floats without an exponent. Without a fraction, such a float is read back as an integer."""

_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt]([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?(?:Z|[-+]([0-9]{2}):([0-9]{2})))"
    r"|(?: +([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?))?\Z"
)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z")


def plain(text: str) -> Any:
    """The value of a scalar without quotes and tag. The result may be NaN or infinite, which JSON cannot represent."""
    if text[:1] not in _RESOLVED_STARTS and text:
        return text
    if text in _WORDS:
        return _WORDS[text]
    value = _number(text)
    return text if value is None else value


def tagged(tag: str, text: str) -> Any:
    """The value of a scalar with a tag. Raises ValueError if Go's library refuses the text for the tag."""
    if tag == BINARY_TAG:
        return _binary(text)
    if tag not in _RESOLVED_TAGS or tag == f"{_TAG}str":
        return text
    if tag == f"{_TAG}timestamp" and _is_timestamp(text):
        return text
    value = plain(text)
    integer = isinstance(value, int) and not isinstance(value, bool)
    fits = {
        f"{_TAG}bool": isinstance(value, bool),
        f"{_TAG}int": integer,
        f"{_TAG}float": isinstance(value, float) or (integer and value <= _MOST_SIGNED),
        f"{_TAG}null": value is None,
    }
    # The float matters for a mapping key, whose text it decides. For a value the tag makes no difference.
    if not fits.get(tag, False):
        raise ValueError(f"the text does not fit the tag !!{tag.removeprefix(_TAG)}")
    return float(value) if tag == f"{_TAG}float" else value


def key_text(key: Any) -> str | None:
    """The text of a scalar key. None for null and for integers above 63 bits, which Go's library does not convert."""
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, float):
        return _short_float(key)
    if isinstance(key, int) and key <= _MOST_SIGNED:
        return str(key)
    return None


def json_number(value: float) -> int | float:
    """A float as it is read back from Go's JSON: an integer if it is written without fraction and exponent."""
    if value.is_integer() and abs(value) < _PLAIN_FLOATS_BELOW:
        return int(Decimal(repr(value)))
    return value


def json_integer(digits: str) -> int | float:
    """An integer of JSON. Go's library reads a float beyond 64 bits. Raises ValueError beyond the largest float."""
    value = _in_64_bits(int(digits)) if len(digits) <= _LONGEST_INTEGER else None
    return json_float(digits) if value is None else value


def json_float(text: str) -> int | float:
    """A number of JSON with a fraction or an exponent. Raises ValueError beyond the largest float."""
    value = float(text)
    if math.isinf(value):
        raise ValueError("no float is that large")
    return json_number(value)


def _number(text: str) -> int | float | None:
    if text[0] == ".":
        return _finite(text) if _POINT_FIRST.match(text) else None
    if text[0] not in _NUMERIC:
        return None
    digits = text.replace("_", "")
    integer = _integer(digits)
    if integer is not None:
        return integer
    if _FLOAT.match(digits):
        return _finite(digits)
    signed = _SIGNED_BINARY.match(digits)
    return _in_64_bits(int(signed[1], 2), signed=True) if signed else None


def _integer(digits: str) -> int | None:
    match = _INTEGER.match(digits)
    if match is None or match.lastindex is None:
        return None
    base = _BASES[match.lastindex]
    significant = match[match.lastindex].lstrip("0") or "0"
    if len(significant) > _LONGEST_INTEGER:
        return None
    value = int(significant, base)
    return _in_64_bits(-value if match[1] == "-" else value, signed=bool(match[1]))


def _in_64_bits(value: int, *, signed: bool = False) -> int | None:
    return value if _LEAST <= value <= (_MOST_SIGNED if signed else _MOST) else None


def _finite(text: str) -> float | None:
    value = float(text)
    return None if math.isinf(value) else value


def _binary(text: str) -> str:
    """The text of base64 data. A byte that is not UTF-8 becomes the replacement character, as in Go's JSON."""
    packed = text.replace("\r", "").replace("\n", "")
    if _BASE64.match(packed) is None:
        raise ValueError("the text of the tag !!binary is not base64")
    try:
        content = base64.b64decode(packed)
    except binascii.Error:
        raise ValueError("the text of the tag !!binary is not base64") from None
    return without_surrogates(content.decode("utf-8", "surrogateescape"))


_SURROGATE = re.compile("[\ud800-\udfff]")


def without_surrogates(text: str) -> str:
    """A text with the replacement character for each half of a surrogate pair, as in Go's JSON."""
    return _SURROGATE.sub("\ufffd", text)


def _is_timestamp(text: str) -> bool:
    match = _TIMESTAMP.match(text)
    if match is None:
        return False
    year, month, day = (int(match[group]) for group in (1, 2, 3))
    clock = [int(match[group] or match[group + 5] or 0) for group in (4, 5, 6)] if match.lastindex != 3 else [0, 0, 0]
    try:
        dt.date(year or 4, month, day)  # Go has a year 0, a leap year
    except ValueError:
        return False
    return clock[0] < 24 and clock[1] < 60 and clock[2] < 60 and int(match[7] or 0) <= 24 and int(match[8] or 0) < 60


def _short_float(value: float) -> str:
    """The shortest text that reads back to the same 32-bit float, as Go's ``%g`` prints it."""
    if math.isnan(value):
        return ".nan"
    try:
        short = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        short = math.copysign(math.inf, value)
    if math.isinf(short):
        return ".inf" if short > 0 else "-.inf"
    text = next(
        text
        for text in (f"{short:.{precision}e}" for precision in range(9))
        if struct.pack("f", float(text)) == struct.pack("f", short)
    )
    mantissa, _, exponent = text.partition("e")
    position = int(exponent)
    if not -4 <= position < 6:
        return f"{mantissa}e{position:+03d}"
    return format(Decimal(text), "f").removesuffix(".0")
