"""Texts of settings: one value changes, and not a character else."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failback.errors import SettingsError
from failback.providers.configuration.env_text import changed_variable, read_variable
from failback.providers.configuration.json_text import changed_value, merge_patch, read_value
from failback.providers.configuration.values import ABSENT, digest, shown

ENV = """\ufeff# auth\r
export AUTH_URL='https://old' # the door\r
\r
PLAIN=https://x?a=1   # note\r
EMPTY=\r
NOTED= # nothing yet\r
  SPACED = "two\\nlines"\r
MANY="first
second"\r
LAST=1"""


@pytest.mark.parametrize(
    ("name", "value", "before", "after"),
    [
        ("AUTH_URL", "https://new", "'https://old' #", "'https://new' #"),
        ("AUTH_URL", "it's", "'https://old' #", '"it\'s" #'),
        ("PLAIN", "https://y?b=2", "https://x?a=1   #", "https://y?b=2   #"),
        ("PLAIN", "a b", "https://x?a=1   #", "'a b'   #"),
        ("PLAIN", "", "https://x?a=1   #", "   #"),
        ("EMPTY", "x", "EMPTY=", "EMPTY=x"),
        ("NOTED", "x", "NOTED= #", "NOTED= x #"),
        ("SPACED", 'say "hi"\n', '"two\\nlines"', '"say \\"hi\\"\\n"'),
        ("SPACED", "a$b", '"two\\nlines"', "'a$b'"),
        ("MANY", "one", '"first\nsecond"', '"one"'),
        ("LAST", "2", "LAST=1", "LAST=2"),
    ],
)
def test_variable_when_changed_then_only_its_value_is_another(
    name: str, value: str, before: str, after: str
) -> None:
    changed = changed_variable(ENV, name, value)
    assert changed == ENV.replace(before, after, 1)
    assert read_variable(changed, name) == value
    assert read_variable(changed_variable(changed, name, "back"), name) == "back"


def test_variable_when_new_or_gone_then_it_is_the_last_line_or_none() -> None:
    added = changed_variable(ENV, "NEW", "a b")
    assert added == f"{ENV}\r\nNEW='a b'\r\n"
    assert changed_variable(added, "NEW", ABSENT) == f"{ENV}\r\n"
    gone = changed_variable(ENV, "PLAIN", ABSENT)
    assert gone == ENV.replace("PLAIN=https://x?a=1   # note\r\n", "")
    assert read_variable(gone, "PLAIN") is ABSENT
    assert changed_variable(gone, "PLAIN", ABSENT) == gone


def test_variable_when_set_twice_or_without_a_value_then_refused() -> None:
    with pytest.raises(SettingsError, match="A is set more than once, near lines 1, 3"):
        read_variable("A=1\nB=2\nA=3\n", "A")
    with pytest.raises(SettingsError, match="without `=`"):
        changed_variable("A\n", "A", "1")


@settings(max_examples=60, deadline=None)
@given(
    old=st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    new=st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    style=st.sampled_from(["", "'", '"']),
)
def test_any_value_when_written_then_it_is_read_and_its_neighbours_stay(
    old: str, new: str, style: str
) -> None:
    plain = old if style and style not in old and "\\" not in old else "x"
    text = f"BEFORE='1' # a\nKEY={style}{plain}{style} # b\nAFTER=2\n"
    after = changed_variable(text, "KEY", new)
    assert read_variable(after, "KEY") == new
    assert after.startswith("BEFORE='1' # a\nKEY=")
    assert after.endswith(" # b\nAFTER=2\n")


JSON = """{
  "number": 1.50,
  "inner": {"a/b": ["x", {"~": null}], "last" : true},
  "empty": {}
}
"""


@pytest.mark.parametrize(
    ("pointer", "value", "before", "after"),
    [
        ("/number", 2, "1.50", "2"),
        ("/inner/a~1b/0", "ä", '"x"', '"ä"'),
        ("/inner/a~1b/1/~0", {"k": [1]}, "null", '{"k": [1]}'),
        ("/inner/last", ABSENT, ', "last" : true', ""),
        ("/number", ABSENT, '"number": 1.50,\n  ', ""),
        ("/empty/new", "v", "{}", '{"new": "v"}'),
        ("/new", False, '"empty": {}', '"empty": {},\n  "new": false'),
        ("/inner/new", 1, " : true", ' : true,"new" : 1'),
        ("/nothing", ABSENT, "{", "{"),
        ("", {"all": 1}, JSON.strip(), '{"all": 1}'),
    ],
)
def test_member_when_changed_then_only_its_value_is_another(
    pointer: str, value: object, before: str, after: str
) -> None:
    changed = changed_value(JSON, pointer, value)
    assert changed == JSON.replace(before, after, 1)
    assert read_value(json.loads(changed), pointer) == value


@pytest.mark.parametrize(
    ("text", "pointer", "value", "problem"),
    [
        (JSON, "/inner/nobody/x", 1, "There is no /inner/nobody to hold"),
        (JSON, "/number/x", 1, "neither object nor list"),
        (JSON, "/inner/a~1b/2", 1, "has no item"),
        (JSON, "/inner/a~1b/0", ABSENT, "would move the others"),
        ('{"a": 1, "a": 2}', "/a", 1, "'a' stands there twice"),
        ("{a: 1}", "/a", 1, "It is no JSON"),
    ],
)
def test_member_when_it_cannot_be_changed_then_it_says_why(
    text: str, pointer: str, value: object, problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        changed_value(text, pointer, value)


def test_merge_patch_then_it_nests_and_null_takes_out() -> None:
    patch = merge_patch([("/a/b", 1), ("/a/c", ABSENT), ("/d", "x")])
    assert patch == {"a": {"b": 1, "c": None}, "d": "x"}


def test_digest_then_values_of_other_types_are_other_values() -> None:
    texts = [digest(value) for value in ("5", 5, None, "null", "", ABSENT, [5], {"a": 1})]
    assert len(set(texts)) == len(texts)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert len(shown(digest("secret"))) < 20
