"""The choice of tests that `make test` can do without."""

from __future__ import annotations

from choose_long import choose, times_of


def test_times_are_read_by_phase():
    test = "tests/test_a.py::test_b[1-a b]"
    report = f"x\n  3.50s setup    {test}\n1.25s call     {test}\n0.01s call x\n"
    assert times_of(report) == {test: {"setup": 3.5, "call": 1.25}}


def test_no_line_is_lost_and_of_several_cases_one_stays():
    times = {f"t.py::a[{case}]": {"call": 10.0 - case} for case in range(3)} | {"t.py::b": {"call": 30.0}}
    lines = {"t.py::a[0]": {(0, 1)}, "t.py::a[1]": {(0, 1), (0, 3)}, "t.py::a[2]": {(0, 1)}, "t.py::b": {(0, 2)}}
    assert dict(choose(times, lines, 0.0)) == {"t.py::a[0]": 10.0, "t.py::a[2]": 8.0}
    lines["t.py::a[1]"] |= {(0, 2)}
    assert dict(choose(times, lines, 0.0)) == {"t.py::a[0]": 10.0, "t.py::a[2]": 8.0, "t.py::b": 30.0}


def test_it_ends_where_the_others_take_their_share():
    times = {f"t.py::a[{case}]": {"call": 1.0, "setup": 1.0} for case in range(10)}
    lines = {test: {(0, 1)} for test in times}
    assert len(dict(choose(times, lines, 0.8))) == 4
    assert len(dict(choose(times, lines, 1.0))) == 0
