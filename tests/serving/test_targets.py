"""Paths as clients send them."""

import pytest

from coresplit.serving.http.message import Refusal
from coresplit.serving.http.targets import read_target


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"/v2/models/a%20b", "/v2/models/a b"),
        (b"/v2/models/%C3%A9", "/v2/models/é"),
        (b"/%76%32?a=%20", "/v2"),
        (b"/v2/models/a%25b", "/v2/models/a%b"),
    ],
)
def test_escapes_in_a_path_are_read(sent: bytes, read: str) -> None:
    assert read_target(sent, "GET")[0] == read


@pytest.mark.parametrize("sent", [b"/v2/models/m%2Finfer", b"/v2/models/m%2finfer"])
def test_an_escaped_slash_divides_nothing(sent: bytes) -> None:
    path, _, _ = read_target(sent, "POST")
    assert path == sent.decode()


@pytest.mark.parametrize("sent", [b"/%zz", b"/%2", b"/%FF", b"/%00", b"/#a"])
def test_a_path_that_is_none_is_refused(sent: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read_target(sent, "GET")
    assert caught.value.status == 400
