"""Triton's own client over HTTP, as it is published, against ``coresplit serve``."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from asking import CODINGS, check, given, rows, two
from servers import KINDS, TOKEN, Array, values_of
from tritonclient import http
from tritonclient.utils import InferenceServerException

pytest_plugins = ("served_models",)


@pytest.fixture(scope="module")
def client(simple: str) -> Iterator[http.InferenceServerClient]:
    with http.InferenceServerClient(simple, concurrency=8) as found:
        yield found


def test_health_and_what_is_served_are_told(client: http.InferenceServerClient) -> None:
    assert client.is_server_live(query_params={"test_1": 1, "test_2": 2})
    assert client.is_server_ready()
    assert client.is_model_ready("simple")
    assert client.is_model_ready("simple", "1")
    assert not client.is_model_ready("simple", "2")
    assert not client.is_model_ready("nope")
    server = client.get_server_metadata()
    assert server["name"] == "coresplit"
    assert "binary_tensor_data" in server["extensions"]
    metadata = client.get_model_metadata("simple", "1")
    assert [each["shape"] for each in metadata["inputs"]] == [[-1, 16], [-1, 16]]
    assert {each["datatype"] for each in metadata["outputs"]} == {"INT32"}
    config = client.get_model_config("simple")
    assert [each["name"] for each in config["output"]] == ["OUTPUT0", "OUTPUT1"]
    assert config["max_batch_size"] >= 64
    assert client.get_model_repository_index() == [
        {"name": "simple", "version": "1", "state": "READY"}
    ]


@pytest.mark.parametrize("binary", list(itertools.product((True, False), repeat=4)))
def test_every_input_and_output_is_json_or_binary_as_wanted(
    client: http.InferenceServerClient, binary: tuple[bool, ...]
) -> None:
    first, second = rows(1, 3)
    outputs = [
        http.InferRequestedOutput(f"OUTPUT{n}", binary_data=wanted)
        for n, wanted in enumerate(binary[2:])
    ]
    answer = client.infer(
        "simple", two(first, second, *binary[:2]), outputs=outputs, request_id="mine"
    )
    check(answer, first, second)
    assert answer.get_response()["id"] == "mine"
    sent = ["binary_data_size" in each.get("parameters", {}) for each in answer._result["outputs"]]
    assert sent == list(binary[2:])


@pytest.mark.parametrize("coding", list(itertools.product(CODINGS, CODINGS)))
def test_bodies_are_compressed_both_ways(
    client: http.InferenceServerClient, coding: tuple[str | None, str | None]
) -> None:
    for count in (1, 200):
        first, second = rows(2, count)
        answer = client.infer(
            "simple",
            two(first, second),
            request_compression_algorithm=coding[0],
            response_compression_algorithm=coding[1],
        )
        check(answer, first, second)


def test_one_output_is_given_alone_and_all_where_none_is_named(
    client: http.InferenceServerClient,
) -> None:
    first, second = rows(3)
    wanted = [http.InferRequestedOutput("OUTPUT1")]
    answer = client.infer("simple", two(first, second), model_version="1", outputs=wanted)
    assert np.array_equal(answer.as_numpy("OUTPUT1"), first - second)
    assert answer.as_numpy("OUTPUT0") is None
    check(client.infer("simple", two(first, second)), first, second)


@pytest.mark.parametrize("binary", [True, False])
def test_every_type_comes_back_as_it_was_sent(types: str, binary: bool) -> None:
    sent = {kind: values_of(kind, 5) for kind in KINDS}
    with http.InferenceServerClient(types) as client:
        # the client itself sends FP16 in binary only
        inputs = [
            given(f"in_{kind}", array, binary or kind == "float16") for kind, array in sent.items()
        ]
        outputs = [
            http.InferRequestedOutput(f"out_{kind}", binary_data=binary or kind == "float16")
            for kind in sent
        ]
        answer = client.infer("types", inputs, outputs=outputs)
    for kind, array in sent.items():
        found = answer.as_numpy(f"out_{kind}")
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)


def test_many_requests_are_in_flight_and_each_gets_its_own_answer(
    client: http.InferenceServerClient,
) -> None:
    sent = [rows(seed, 1 + seed % 5) for seed in range(100)]
    asked = [client.async_infer("simple", two(*each)) for each in sent]
    for each, waiting in zip(sent, asked, strict=True):
        check(waiting.get_result(timeout=60), *each)


def test_statistics_count_what_was_answered(client: http.InferenceServerClient) -> None:
    def counted() -> tuple[int, int]:
        (found,) = client.get_inference_statistics("simple")["model_stats"]
        return found["inference_count"], found["inference_stats"]["success"]["count"]

    before = counted()
    client.infer("simple", two(*rows(4, 7)))
    after = counted()
    assert (after[0] - before[0], after[1] - before[1]) == (7, 1)
    assert client.get_inference_statistics()["model_stats"][0]["name"] == "simple"


@pytest.mark.parametrize(
    ("name", "array", "status", "words"),
    [
        ("nope", np.zeros((1, 16), np.int32), "404", "Request for unknown model"),
        ("simple", np.zeros((1, 15), np.int32), "400", "has shape [rows,16]"),
        ("simple", np.zeros((1, 16), np.int64), "400", "datatype INT32"),
        ("simple", np.zeros((9999, 16), np.int32), "400", "batch-size must be <="),
    ],
)
def test_a_mistake_is_raised_with_its_status_and_the_connection_goes_on(
    client: http.InferenceServerClient, name: str, array: Array, status: str, words: str
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer(name, two(array, array))
    assert caught.value.status() == status
    assert words in caught.value.message()
    sent = rows(5)
    check(client.infer("simple", two(*sent)), *sent)


def test_what_is_not_offered_is_refused(client: http.InferenceServerClient) -> None:
    for call in (
        lambda: client.load_model("simple"),
        lambda: client.unload_model("simple"),
        client.get_system_shared_memory_status,
        client.get_log_settings,
        lambda: client.infer("simple", two(*rows(6)), sequence_id=3, sequence_start=True),
    ):
        with pytest.raises(InferenceServerException) as caught:
            call()
        assert caught.value.status() in ("400", "404")


def test_a_token_and_both_timeouts_are_kept(slow: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with http.InferenceServerClient(slow) as client:
        assert client.is_server_ready()
        with pytest.raises(InferenceServerException) as caught:
            client.get_model_metadata("fake")
        assert caught.value.status() == "401"
        (described,) = client.get_model_metadata("fake", headers=headers)["inputs"]
        array = np.ones((1, *described["shape"][1:]), np.float32)
        inputs = [given(described["name"], array)]
        # from now on the server knows how long it takes
        answer = client.infer("fake", inputs, headers=headers, timeout=60_000_000)
        assert answer.get_response()["model_name"] == "fake"
        with pytest.raises(InferenceServerException) as caught:
            client.infer("fake", inputs, headers=headers, timeout=1000)
        assert caught.value.status() == "504"
    with (
        http.InferenceServerClient(slow, network_timeout=0.05) as hurried,
        pytest.raises(TimeoutError),
    ):
        hurried.infer("fake", inputs, headers=headers)
