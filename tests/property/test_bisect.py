"""The search for the change that turned a verdict, compared with a look at every verdict."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from gitsnap.history.bisect import Verdict, find_turn

_GOOD, _BAD, _SKIPPED = Verdict.GOOD, Verdict.BAD, Verdict.SKIPPED


@settings(max_examples=1000)
@given(st.lists(st.sampled_from(list(Verdict)), max_size=40), st.sampled_from([_GOOD, _BAD]))
def test_one_of_the_suspects_turned_the_verdict(verdicts: list[Verdict], last: Verdict) -> None:
    """Also if the verdict turns several times: the state before the suspects has the other verdict."""
    first = _BAD if last is _GOOD else _GOOD
    verdicts = [*verdicts, last]
    judged: list[int] = []

    def judge(position: int, remaining: int) -> Verdict:
        judged.append(position)
        assert remaining >= 2
        return verdicts[position]

    suspects = find_turn(len(verdicts), judge, last)
    before = verdicts[suspects[0] - 1] if suspects[0] else first
    assert (before, verdicts[suspects[-1]]) == (first, last)
    assert all(verdicts[position] is _SKIPPED for position in suspects[:-1])
    assert len(judged) == len(set(judged))
    assert suspects[-1] in {*judged, len(verdicts) - 1}


@settings(max_examples=500)
@given(st.integers(1, 2000), st.data())
def test_a_verdict_that_turns_once_is_found_in_few_steps(count: int, data: st.DataObject) -> None:
    """Without skips, the number of judged changes is that of a binary search."""
    turn = data.draw(st.integers(0, count - 1))
    judged: list[int] = []

    def judge(position: int, _remaining: int) -> Verdict:
        judged.append(position)
        return _BAD if position >= turn else _GOOD

    assert list(find_turn(count, judge, _BAD)) == [turn]
    assert len(judged) <= math.ceil(math.log2(count)) if count > 1 else not judged


@settings(max_examples=500)
@given(st.integers(2, 300), st.data())
def test_skips_leave_only_their_neighbours_in_question(count: int, data: st.DataObject) -> None:
    """With a verdict that turns once, the suspects are the turn and the skipped changes next to it, as in git."""
    turn = data.draw(st.integers(0, count - 1))
    skipped = data.draw(st.sets(st.integers(0, count - 2)))

    def judge(position: int, _remaining: int) -> Verdict:
        return _SKIPPED if position in skipped else _BAD if position >= turn else _GOOD

    end = turn
    while end in skipped:
        end += 1
    start = turn
    while start - 1 in skipped:
        start -= 1
    assert list(find_turn(count, judge, _BAD)) == list(range(start, end + 1))
