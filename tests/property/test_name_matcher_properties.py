"""NameMatcher finds the same names as one regular expression, for few and for many names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitsnap.sveltos import name_matcher
from gitsnap.sveltos.name_matcher import NameMatcher

_NAMES = st.sets(st.text("ab.-:A_", min_size=1, max_size=4), min_size=1, max_size=6)
_TEXTS = st.text("ab.-:A_ \n\"'é", max_size=14)


@pytest.mark.parametrize("few", [0, 100], ids=["word by word", "one by one"])
@settings(max_examples=500, deadline=None)
@given(_NAMES, _TEXTS)
def test_names_match_whole_words_only(few: int, given_names: set[str], text: str) -> None:
    """A part of a longer name does not count. Names that Kubernetes does not allow are found as well."""
    expected = any(re.search(rf"(?<![a-z0-9.-]){re.escape(name)}(?![a-z0-9.-])", text) for name in given_names)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name_matcher, "_FEW", few)
        assert NameMatcher(given_names).matches(text.encode()) == expected
