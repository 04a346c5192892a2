"""Triton's own client for asyncio, as it is published, against ``coresplit serve``."""

import asyncio
import itertools

import numpy as np
import pytest
from asking import CODINGS, check, given, rows, two
from servers import TOKEN
from tritonclient.http import aio
from tritonclient.utils import InferenceServerException

pytest_plugins = ("served_models",)


def test_health_metadata_configuration_index_and_statistics(simple: str) -> None:
    async def test() -> None:
        async with aio.InferenceServerClient(simple) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("simple")
            assert not await client.is_model_ready("nope")
            assert (await client.get_server_metadata())["name"] == "coresplit"
            assert (await client.get_model_metadata("simple"))["versions"] == ["1"]
            assert (await client.get_model_config("simple"))["input"][0]["dims"] == [16]
            (listed,) = await client.get_model_repository_index()
            assert listed["state"] == "READY"
            (counted,) = (await client.get_inference_statistics("simple"))["model_stats"]
            assert counted["version"] == "1"

    asyncio.run(test())


def test_many_requests_are_in_flight_with_every_coding(simple: str) -> None:
    async def test() -> None:
        async with aio.InferenceServerClient(simple, conn_limit=16) as client:
            sent = [rows(seed, 1 + 40 * (seed % 3)) for seed in range(90)]
            codings = itertools.cycle(itertools.product(CODINGS, CODINGS))
            answers = await asyncio.gather(
                *(
                    client.infer(
                        "simple",
                        two(*each, seed % 2 == 0),
                        request_id=str(seed),
                        request_compression_algorithm=coding[0],
                        response_compression_algorithm=coding[1],
                    )
                    for (seed, each), coding in zip(enumerate(sent), codings, strict=False)
                )
            )
            for (seed, each), answer in zip(enumerate(sent), answers, strict=True):
                check(answer, *each)
                assert answer.get_response()["id"] == str(seed)

    asyncio.run(test())


def test_outputs_are_json_or_binary_as_wanted(simple: str) -> None:
    async def test() -> None:
        first, second = rows(1, 2)
        async with aio.InferenceServerClient(simple) as client:
            for wanted in itertools.product((True, False), repeat=2):
                outputs = [
                    aio.InferRequestedOutput(f"OUTPUT{n}", binary_data=binary)
                    for n, binary in enumerate(wanted)
                ]
                answer = await client.infer("simple", two(first, second), outputs=outputs)
                check(answer, first, second)

    asyncio.run(test())


def test_a_mistake_is_raised_with_its_status(simple: str) -> None:
    async def test() -> None:
        async with aio.InferenceServerClient(simple) as client:
            for name, status in (("nope", "404"), ("simple", "400")):
                with pytest.raises(InferenceServerException) as caught:
                    await client.infer(name, [given("INPUT0", rows(1)[0])])
                assert caught.value.status() == status
            sent = rows(2)
            check(await client.infer("simple", two(*sent)), *sent)

    asyncio.run(test())


def test_timeouts_and_a_token(slow: str) -> None:
    async def test() -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with aio.InferenceServerClient(slow) as client:
            (described,) = (await client.get_model_metadata("fake", headers=headers))["inputs"]
            inputs = [given("x", np.ones((1, *described["shape"][1:]), np.float32))]
            # from now on the server knows how long it takes
            await client.infer("fake", inputs, headers=headers)
            with pytest.raises(InferenceServerException) as caught:
                await client.infer("fake", inputs, headers=headers, timeout=1000)
            assert caught.value.status() == "504"
            with pytest.raises(InferenceServerException) as caught:
                await client.infer("fake", inputs)
            assert caught.value.status() == "401"
        async with aio.InferenceServerClient(slow, conn_timeout=0.05) as client:
            with pytest.raises(TimeoutError):
                await client.infer("fake", inputs, headers=headers)

    asyncio.run(test())
