"""Endpoints without tensors: which there are, and what they answer."""

import json

import pytest

from coresplit.serving.protocol import (
    BadRequest,
    BatchCounters,
    Batching,
    Counters,
    Group,
    MethodNotAllowed,
    NotFound,
    Route,
    Signature,
    Spent,
    Tensor,
    check_model,
    live,
    model_config,
    model_metadata,
    model_ready,
    model_statistics,
    ready,
    repository_index,
    route,
    server_metadata,
    wants_ready_only,
    write_json,
)

SERVED = Signature(
    model="m",
    inputs=(Tensor("x", "FP32", (3, 4)),),
    outputs=(Tensor("y", "BF16", ()),),
    max_batch=8,
)


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/v2", Route("server_metadata")),
        ("GET", "/v2/health/live", Route("live")),
        ("GET", "/v2/health/ready?verbose=1", Route("ready")),
        ("GET", "/v2/models/m", Route("model_metadata", "m")),
        ("GET", "/v2/models/m/versions/1", Route("model_metadata", "m", "1")),
        ("GET", "/v2/models/m/ready", Route("model_ready", "m")),
        ("GET", "/v2/models/a model é/versions/2/ready", Route("model_ready", "a model é", "2")),
        ("GET", "/v2/models/m/config", Route("config", "m")),
        ("GET", "/v2/models/stats", Route("stats")),
        ("GET", "/v2/models/m/stats", Route("stats", "m")),
        ("POST", "/v2/models/m/infer", Route("infer", "m")),
        ("POST", "/v2/models/m/versions/1/infer", Route("infer", "m", "1")),
        ("POST", "/v2/repository/index", Route("repository_index")),
    ],
)
def test_a_method_and_a_path_mean_an_endpoint(method: str, path: str, found: Route) -> None:
    assert route(method, path) == found


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/v1", "/v2/", "v2", "/v2/health", "/v2/models", "/v2/models//infer"),
        *("/v2/models/m/infer/", "/v2/models/m/generate", "/v2/models/m/versions/1/x"),
        *("/v2/repository/models/m/load", "/v2/systemsharedmemory/status", "/v2/../etc/passwd"),
    ],
)
def test_any_other_path_is_not_found(path: str) -> None:
    with pytest.raises(NotFound) as caught:
        route("GET", path)
    assert (caught.value.status, caught.value.message) == (404, f"there is no endpoint '{path}'")


def test_a_wrong_method_is_told_the_right_one() -> None:
    for method, path, allowed in (
        ("POST", "/v2", "GET"),
        ("DELETE", "/v2/models/m", "GET"),
        ("GET", "/v2/models/m/infer", "POST"),
        ("GET", "/v2/repository/index", "POST"),
    ):
        with pytest.raises(MethodNotAllowed) as caught:
            route(method, path)
        assert caught.value.status == 405
        assert caught.value.headers == {"Allow": allowed}
        assert caught.value.message == (
            f"method '{method}' is not allowed for '{path}': use {allowed}"
        )


def test_another_model_or_version_is_unknown_in_the_words_of_triton() -> None:
    for found in (Route("infer", "m"), Route("infer", "m", "1"), Route("stats")):
        check_model(found, SERVED)
    with pytest.raises(NotFound) as caught:
        check_model(Route("infer", "x"), SERVED)
    assert caught.value.message == "Request for unknown model: 'x' is not found"
    with pytest.raises(NotFound) as caught:
        check_model(Route("infer", "m", "2"), SERVED)
    assert caught.value.message == "Request for unknown model: 'm' version 2 is not found"


def test_metadata_says_what_is_served() -> None:
    assert server_metadata("0.1") == {
        "name": "coresplit",
        "version": "0.1",
        "extensions": [
            *("binary_tensor_data", "schedule_policy", "model_configuration", "statistics")
        ],
    }
    assert (live(), ready(False)) == ({"live": True}, {"ready": False})
    assert model_ready(SERVED) == {"name": "m", "ready": True}
    assert model_metadata(SERVED) == {
        "name": "m",
        "versions": ["1"],
        "platform": "coresplit",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3, 4]}],
        "outputs": [{"name": "y", "datatype": "BF16", "shape": [-1]}],
    }


def test_the_configuration_has_the_shape_of_triton() -> None:
    groups = (Group(name="batch 4", count=2), Group(name="batch 1", count=1))
    batching = Batching(preferred=(1, 4), delay_us=500, timeout_us=9, queue=64)
    plain = {
        "name": "m",
        "platform": "coresplit",
        "backend": "coresplit",
        "version_policy": {"specific": {"versions": [1]}},
        "max_batch_size": 8,
        "input": [
            {
                "name": "x",
                "data_type": "TYPE_FP32",
                "format": "FORMAT_NONE",
                "dims": [3, 4],
                "is_shape_tensor": False,
                "allow_ragged_batch": False,
                "optional": False,
                "is_non_linear_format_io": False,
            }
        ],
        "output": [
            {
                "name": "y",
                "data_type": "TYPE_BF16",
                "dims": [],
                "label_filename": "",
                "is_shape_tensor": False,
                "is_non_linear_format_io": False,
            }
        ],
        "instance_group": [
            {"name": "batch 4", "kind": "KIND_CPU", "count": 2, "gpus": []},
            {"name": "batch 1", "kind": "KIND_CPU", "count": 1, "gpus": []},
        ],
    }
    assert model_config(SERVED, groups, None) == plain
    assert model_config(SERVED, groups, batching) == plain | {
        "dynamic_batching": {
            "preferred_batch_size": [1, 4],
            "max_queue_delay_microseconds": 500,
            "preserve_ordering": False,
            "priority_levels": 0,
            "default_queue_policy": {
                "timeout_action": "REJECT",
                "default_timeout_microseconds": 9,
                "allow_timeout_override": True,
                "max_queue_size": 64,
            },
        }
    }


def test_statistics_have_the_shape_of_triton() -> None:
    four = BatchCounters(batch_size=4, compute_infer=Spent(2, 80))
    counters = Counters(
        last_inference_ms=1_700_000_000_000,
        inference_count=9,
        execution_count=3,
        success=Spent(5, 100),
        queue=Spent(5, 7),
        batches=(four, BatchCounters(batch_size=1)),
    )
    nothing = {"count": 0, "ns": 0}
    shown = json.loads(b"".join(write_json(model_statistics(SERVED, counters))[1]))
    assert shown == {
        "model_stats": [
            {
                "name": "m",
                "version": "1",
                "last_inference": 1_700_000_000_000,
                "inference_count": 9,
                "execution_count": 3,
                "inference_stats": {
                    "success": {"count": 5, "ns": 100},
                    "fail": nothing,
                    "queue": {"count": 5, "ns": 7},
                    "compute_input": nothing,
                    "compute_infer": nothing,
                    "compute_output": nothing,
                    "cache_hit": nothing,
                    "cache_miss": nothing,
                },
                "response_stats": {},
                "batch_stats": [
                    {
                        "batch_size": size,
                        "compute_input": nothing,
                        "compute_infer": infer,
                        "compute_output": nothing,
                    }
                    for size, infer in ((1, nothing), (4, {"count": 2, "ns": 80}))
                ],
                "memory_usage": [],
            }
        ]
    }


def test_the_index_lists_the_model_and_may_be_of_ready_ones_only() -> None:
    assert repository_index(SERVED) == [{"name": "m", "version": "1", "state": "READY"}]
    assert repository_index(SERVED, is_ready=False) == [
        {"name": "m", "version": "1", "state": "LOADING"}
    ]
    assert repository_index(SERVED, is_ready=False, ready_only=True) == []
    bodies = (b"", b"{}", b'{"ready": false}', b'{"ready": true}')
    assert [wants_ready_only(memoryview(body)) for body in bodies] == [False, False, False, True]
    for body in (b"[]", b"{", b'{"ready": 1}', b"\xff", b"[" * 250_000):
        with pytest.raises(BadRequest, match="'ready' true or false"):
            wants_ready_only(memoryview(body))
