"""The management port, over instances that compute nothing."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving_process import managed

Answer = tuple[int, dict[str, Any]]
FORMULA = "fake:2ms + 8ms*b/t@4"


def call(url: str, body: object = None, **headers: str) -> Answer:
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Where a server is managed."""
    with managed(
        FORMULA, "--split", "1x2", "--optimization", "none", folder=tmp_path_factory.mktemp("m")
    ) as (_, url, manage):
        yield url, manage


def test_a_split_takes_over_and_the_serving_port_says_so(server: tuple[str, str]) -> None:
    url, manage = server
    status, found = call(manage, {"split": "3x1", "optimization": "none"})
    assert (status, found["set"], found["result"], found["started"]) == (200, "3x1 none", "made", 3)
    groups = call(f"{url}/config")[1]["instance_group"]
    assert groups[0]["count"] == 3
    state = call(manage)[1]
    assert (state["active"], state["preparing"], state["model"]) == ("3x1 none", None, "fake")
    sets = state["sets"]
    assert {each["name"]: each["active"] for each in sets}["1x2 none"] is False
    assert [each["state"] for each in sets[0]["instances"]] == ["warm"] * 3
    events = state["events"]
    assert [each["event"] for each in events][-2:] == ["switch begun", "switch made"]
    base = url.partition("/v2/")[0]
    with urllib.request.urlopen(f"{base}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    assert 'coresplit_active_set{set="3x1 none"} 1.0' in text
    assert 'coresplit_switches_total{result="made"}' in text
    status, found = call(manage, {"set": "1x2 none"})
    assert (status, found["set"]) == (200, "1x2 none")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"split": "9x1"}, "needs 9 cores, but 4 are usable"),
        ({"split": "2"}, "is not a split"),
        ({"split": "1x1", "optimization": "scrpt"}, "did you mean 'script'"),
        ({"set": "5x5 none"}, "there is no set '5x5 none' here"),
        ({"set": "1x2 none", "split": "1x2"}, "either a set or a split"),
        ({"set": "1x2 none", "optimization": "none"}, "a set has its optimization"),
        ({}, "either a set or a split"),
        ({"split": 3}, "the body must be JSON such as"),
        ({"split": "1x1", "more": 1}, "the body must be JSON such as"),
        (b"{", "the body must be JSON such as"),
        (b"\xff", "the body must be JSON such as"),
    ],
)
def test_what_cannot_be_followed_is_one_sentence(
    server: tuple[str, str], body: object, words: str
) -> None:
    status, found = call(server[1], body)
    assert (status, list(found)) == (400, ["error"])
    assert words in str(found["error"])


def test_there_is_nothing_else_on_the_port(server: tuple[str, str]) -> None:
    manage = server[1]
    assert call(manage.replace("fake", "other"))[0] == 404
    assert call(manage.replace("/config", "/infer"), {})[0] == 404
    base = manage.partition("/v2/")[0]
    assert call(f"{base}/metrics")[0] == 404
    request = urllib.request.Request(manage, method="DELETE")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    assert caught.value.code == 405
    caught.value.close()


def test_a_web_page_may_not_ask(server: tuple[str, str]) -> None:
    status, found = call(server[1], {"split": "1x1"}, Origin="http://example.org")
    assert status == 403
    assert "web pages" in str(found["error"])


def test_without_the_token_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("sixteen letters!")
    words = (FORMULA, "--split", "1x1", "--token-file", "token")
    with managed(*words, folder=tmp_path) as (_, _, manage):
        asked = [
            call(manage),
            call(manage, {"split": "2x1"}),
            call(manage, {"split": "2x1"}, Authorization="Bearer something else"),
            call(manage.replace("fake", "other"), Authorization="Basic sixteen letters!"),
        ]
        assert asked == [(401, {"error": "a token is needed"})] * 4
        status, found = call(manage, {"split": "2x1"}, Authorization="Bearer sixteen letters!")
        assert (status, found["result"]) == (200, "made")
