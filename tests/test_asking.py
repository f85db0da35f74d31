"""Commands that are written for the wire once."""

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talentfeed.asking import Form

FORM = Form(("GET", None), ("LRANGE", None, 0, 199), ("SET", None, b"100 %d\r\n", 0.5), ("PING",))
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(st.tuples(keys, keys, keys))
def test_it_is_what_a_client_writes_whatever_the_keys(names: tuple[str, str, str]) -> None:
    filled = FORM(*names)
    assert list(filled) == [
        ("GET", names[0]),
        ("LRANGE", names[1], 0, 199),
        ("SET", names[2], b"100 %d\r\n", 0.5),
        ("PING",),
    ]
    assert len(filled) == 4
    assert filled.packed() == b"".join(hiredis.pack_command(command) for command in filled)  # type: ignore[arg-type]


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c", "d")])
def test_a_key_too_few_or_too_many_is_an_error(names: tuple[str, ...]) -> None:
    with pytest.raises(TypeError):
        FORM(*names).packed()
