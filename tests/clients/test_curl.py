"""curl, and the examples of the documentation, word for word."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tritonclient import http

pytest_plugins = ("served_models",)

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "serve.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SHOWN = "127.0.0.1:8080"
IMAGE = 3 * 224 * 224
# where CORESPLIT_REQUIRE_CLIENTS is set, a missing curl is a failure
needs_curl = pytest.mark.skipif(
    shutil.which("curl") is None and not os.environ.get("CORESPLIT_REQUIRE_CLIENTS"),
    reason="no curl on PATH; install the Debian package",
)


def curl(folder: Path, *words: str) -> tuple[int, str]:
    """Status and body of one request."""
    ended = subprocess.run(
        ["curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    body, _, status = ended.stdout.rpartition("\n")
    return int(status), body


def test_the_python_of_the_page_is_true(images: str) -> None:
    names: dict[str, object] = {}
    said = ""
    assert [language for language, _ in BLOCKS].count("python") == 2
    for language, body in BLOCKS:
        if language == "text" and names:
            assert said == body
        elif language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(body.replace(SHOWN, images), "serve.md", "exec"), names)
            said = out.getvalue()


@needs_curl
def test_the_shell_of_the_page_is_true(images: str, tmp_path: Path) -> None:
    scripts = [
        body
        for language, body in BLOCKS
        if language == "sh" and "curl " in body and f"{SHOWN}/" in body
    ]
    assert len(scripts) == 2
    for script in scripts:
        assert "curl -f" in script
        subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script.replace(SHOWN, images)],
            cwd=tmp_path,
            check=True,
            timeout=60,
            capture_output=True,
        )
    with http.InferenceServerClient(images) as client:
        (counted,) = client.get_inference_statistics("mobilenet_v3_large")["model_stats"]
    assert counted["inference_stats"]["success"]["count"] >= 3


@needs_curl
def test_a_long_body_waits_to_be_asked_for(images: str, tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(bytes(4 * IMAGE * 4))
    words = ("--data-binary", "@rows", "-H", "Inference-Header-Content-Length: 0")
    url = f"http://{images}/v2/models/mobilenet_v3_large/infer"
    status, body = curl(tmp_path, "-v", "--output", "answer", *words, url)
    assert (status, body) == (200, "")
    answer = (tmp_path / "answer").read_bytes()
    assert json.loads(answer[: answer.index(b"}}]}") + 4])["outputs"][0]["shape"] == [4, 1000]
    assert len(answer) - answer.index(b"}}]}") - 4 == 4 * 1000 * 4


@needs_curl
def test_a_form_that_was_not_meant_as_one_is_read(simple: str, tmp_path: Path) -> None:
    rows = [{"name": f"INPUT{n}", "shape": [1, 16], "datatype": "INT32"} for n in range(2)]
    text = json.dumps({"inputs": [each | {"data": list(range(16))} for each in rows]})
    # curl calls the body of --data a form
    status, body = curl(tmp_path, "--data", text, f"http://{simple}/v2/models/simple/infer")
    assert status == 200
    assert [each["data"][1] for each in json.loads(body)["outputs"]] == [2, 0]


@needs_curl
def test_http_1_0_and_head_are_answered(simple: str, tmp_path: Path) -> None:
    assert curl(tmp_path, "--http1.0", f"http://{simple}/v2/health/ready")[0] == 200
    assert curl(tmp_path, "--head", f"http://{simple}/v2/health/ready")[0] == 200
    assert curl(tmp_path, f"http://{simple}/v2/health/ready/")[0] == 404
