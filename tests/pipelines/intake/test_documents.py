"""JSON, XML and YAML that mean harm."""

from __future__ import annotations

import pytest

from hostile_files import within
from pipelines.core.errors import DataError
from pipelines.intake.documents import parse_json, parse_xml, parse_yaml

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "ha">%s]><a>&b9;</a>""" % b"".join(
    b'<!ENTITY b%d "%s">' % (number, b"&b%d;" % (number - 1) * 10 if number else b"ha") for number in range(10)
)
MERGES = "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("parse", "content", "said"),
    [
        (parse_json, b"[" * 100_000, "nested too deeply"),
        (parse_json, b"\xff", "is not JSON"),
        (parse_json, b"1" * 10_000, "is not JSON"),
        (parse_json, b"", "is not JSON"),
        (parse_xml, LAUGHS, "has a DOCTYPE"),
        (parse_xml, b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "has a DOCTYPE"),
        (parse_xml, b"<a", "is not XML"),
        (parse_xml, b'<?xml version="1.0" encoding="utf-7"?><a/>', "is not XML"),
        (parse_yaml, b"[" * 100_000, "nested too deeply"),
        (parse_yaml, b"- " * 50_000, "nested too deeply"),
        (parse_yaml, MERGES.encode(), r"received the alias \*a0; write the value itself"),
        (parse_yaml, b"&a [*a]", r"received the alias \*a"),
        (parse_yaml, b"!!python/object/apply:os.system [ls]", "is not YAML"),
        (parse_yaml, b"!!int ''", "is not YAML"),
        (parse_yaml, b"? [a]\n: b", "is not YAML"),
        (parse_yaml, b"\x00", "is not YAML"),
        (parse_yaml, b"2001-99-99", "is not YAML"),
    ],
)
def test_what_means_harm_is_refused_in_one_line(parse, content: bytes, said: str):
    with within(20), pytest.raises(DataError, match=rf"a\.x: .*{said}") as refused:
        parse(content, "a.x")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_numbers_of_yaml_are_read_and_endless_ones_stay_texts():
    assert parse_yaml(b"[1, 0x10, 1.5, .inf]", "a")[:3] == [1, 16, 1.5]
    with within(5):
        assert parse_yaml(b"1:" * 100_000 + b"1", "a").startswith("1:1")
        assert isinstance(parse_yaml(b"0x" + b"f" * 100_000, "a"), str)


def test_xml_of_any_depth_is_parsed():
    assert parse_xml(b"<a>" * 100_000 + b"</a>" * 100_000, "a").tag == "a"
