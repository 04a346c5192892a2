"""Requests and answers of the Open Inference Protocol, byte by byte."""

import json
from random import Random
from typing import Any

import numpy as np
import pytest
from client import DTYPES, answered, ask, sent
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from coresplit.errors import UsageError
from coresplit.records import ModelInput
from coresplit.serving.protocol import (
    BadRequest,
    InferRequest,
    Raw,
    Signature,
    Tensor,
    Text,
    Wanted,
    WrongOutput,
    datatype_of,
    dtype_of,
    parse_infer,
    tensors_of,
    write_error,
    write_infer,
)

X = Tensor("x", "FP32", (2,))
IDS = Tensor("ids", "INT64", (1,))
Y = Tensor("y", "FP32", (2,))
OK = Tensor("ok", "BOOL", ())
TWO = Signature(model="m", inputs=(X, IDS), outputs=(Y, OK), max_batch=8)
ONE = Signature(model="one", inputs=(X,), outputs=(Y, OK), max_batch=8)
BOTH_JSON = (Wanted("y", 0, False), Wanted("ok", 1, False))
BOTH_BINARY = (Wanted("y", 0, True), Wanted("ok", 1, True))


def parsed(
    request: object, tail: bytes = b"", length: int | None = -1, signature: Signature = ONE
) -> InferRequest:
    """What a JSON header and the bytes behind it ask for."""
    header = request if isinstance(request, bytes) else json.dumps(request).encode()
    if length == -1:
        length = len(header) if tail else None
    return parse_infer(memoryview(header + tail), length, signature)


def refused(
    request: object, tail: bytes = b"", length: int | None = -1, signature: Signature = ONE
) -> str:
    with pytest.raises(BadRequest) as caught:
        parsed(request, tail, length, signature)
    assert caught.value.status == 400
    return caught.value.message


def x_input(**changes: object) -> dict[str, object]:
    """An input of two rows in JSON; a change to None drops the field."""
    plain = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}
    return {key: value for key, value in (plain | changes).items() if value is not None}


def x_binary(size: object, **changes: object) -> dict[str, object]:
    return x_input(data=None, parameters={"binary_data_size": size}, **changes)


def request_of(*inputs: object, **more: object) -> dict[str, object]:
    return {"inputs": list(inputs), **more}


# What tritonclient 2.73 sends, byte for byte: generate_request_body() for these tensors, in this
# order. The package is no dependency: it brings gevent, geventhttpclient and aiohttp.
TRITON_HEAD = (
    b'{"inputs":[{"name":"ids","shape":[2,1],"datatype":"INT64","parameters":'
    b'{"binary_data_size":16}},{"name":"x","shape":[2,2],"datatype":"FP32",'
)
TRITON_IDS = b"\x07" + bytes(7) + b"\x08" + bytes(7)
TRITON_X = b"\x00\x00\x80?\x00\x00 @\x00\x00@@\x00\x00\x80\xc0"


def test_a_binary_request_of_tritonclient_is_read() -> None:
    header = (
        TRITON_HEAD + b'"parameters":{"binary_data_size":16}}],"parameters":'
        b'{"binary_data_output":true}}'
    )
    assert len(header) == 220
    assert parsed(header, TRITON_IDS + TRITON_X, signature=TWO) == InferRequest(
        rows=2, inputs=(Raw(236, 16), Raw(220, 16)), outputs=BOTH_BINARY
    )


def test_a_mixed_request_of_tritonclient_with_every_option_is_read() -> None:
    header = (
        b'{"id":"r1",' + TRITON_HEAD[1:] + b'"data":[1.0,2.5,3.0,-4.0]}],"outputs":[{"name":"ok",'
        b'"parameters":{"binary_data":false}},{"name":"y","parameters":{"binary_data":true}}],'
        b'"parameters":{"priority":2,"timeout":500,"trace":"t"}}'
    )
    found = parsed(header, TRITON_IDS, signature=TWO)
    assert found == InferRequest(
        id="r1",
        rows=2,
        inputs=(Text(157, 18), Raw(len(header), 16)),
        outputs=(Wanted("ok", 1, False), Wanted("y", 0, True)),
        timeout_us=500,
    )
    assert header[157 : 157 + 18] == b"[1.0,2.5,3.0,-4.0]"


def test_a_list_is_found_where_it_lies_and_not_where_the_same_bytes_come_first() -> None:
    header = b'{"note": "[1,2]", "other": [1,2], "inputs": [{"name":"x","datatype":"FP32",'
    header += b'"shape":[1,2],"junk":[1,2],"data": '
    assert parsed(header + b"[1,2] }]}").inputs == (Text(len(header), 5),)


def test_a_nested_list_is_taken_as_a_flat_one() -> None:
    body = json.dumps(request_of(x_input(data=[[1, 2], [3, 4]]))).encode()
    (place,) = parsed(body).inputs
    assert body[place.offset : place.offset + place.size] == b"[[1, 2], [3, 4]]"


def test_a_raw_binary_body_is_the_one_input_and_its_answer_is_binary() -> None:
    assert parsed(b"", bytes(24), 0) == InferRequest(
        rows=3, inputs=(Raw(0, 24),), outputs=BOTH_BINARY
    )


def test_outputs_are_json_unless_asked_for_otherwise() -> None:
    def outputs(**more: object) -> tuple[Wanted, ...]:
        return parsed(request_of(x_input(), **more)).outputs

    assert outputs() == outputs(outputs=[]) == BOTH_JSON
    assert outputs(parameters={"binary_data_output": True}) == BOTH_BINARY
    assert outputs(outputs=[{"name": "ok"}]) == (Wanted("ok", 1, False),)
    binary = {"name": "ok", "parameters": {"binary_data": True}}
    assert outputs(outputs=[binary, {"name": "y"}]) == (
        Wanted("ok", 1, True),
        Wanted("y", 0, False),
    )


def test_an_output_that_says_nothing_follows_binary_data_output() -> None:
    text = {"name": "y", "parameters": {"binary_data": False}}
    found = parsed(
        request_of(
            x_input(), outputs=[text, {"name": "ok"}], parameters={"binary_data_output": True}
        )
    )
    assert found.outputs == (Wanted("y", 0, False), Wanted("ok", 1, True))


def test_a_timeout_of_zero_is_none() -> None:
    def timeout(value: int) -> int | None:
        return parsed(request_of(x_input(), parameters={"timeout": value})).timeout_us

    assert (timeout(0), timeout(1), timeout(2**63 - 1)) == (None, 1, 2**63 - 1)


def test_unknown_fields_and_parameters_are_ignored() -> None:
    own = {"parameters": {"content_type": "np", "depth": 1.5, "trace": True}}
    plain = parsed(request_of(x_input()))
    found = parsed(
        request_of(x_input(**own), model="?", outputs=[{"name": "y"}, {"name": "ok", **own}], **own)
    )
    assert (found.rows, found.outputs) == (plain.rows, plain.outputs)


def test_the_caller_may_take_more_or_fewer_rows_than_a_batch() -> None:
    body = memoryview(bytes(8 * 12))
    assert parse_infer(body, 0, ONE, max_rows=12).rows == 12
    with pytest.raises(BadRequest, match="batch-size must be <= 8 for 'one', not 12"):
        parse_infer(body, 0, ONE)
    with pytest.raises(BadRequest, match="<= 11"):
        parse_infer(body, 0, ONE, max_rows=11)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({}, "'request': object missing required field `inputs`"),
        ([], "'request': expected `object`, got `array`"),
        ({"inputs": {}}, "'inputs': expected `array`, got `object`"),
        (request_of({"name": "x"}), "'inputs[0]': object missing required field `datatype`"),
        (request_of(x_input(shape=["2", 2])), "'inputs[0].shape[0]': expected `int`, got `str`"),
        (request_of(x_input(shape=[2.0, 2])), "'inputs[0].shape[0]': expected `int`"),
        (request_of(x_input(), id=7), "'id': expected `str`, got `int`"),
        (request_of(x_input(), parameters=[]), "'parameters': expected `object`, got `array`"),
        (request_of(), "expected 1 inputs but got 0 inputs for model 'one': 'x' missing"),
        (request_of(x_input(name="z")), "unexpected input 'z': model 'one' takes 'x'"),
        (request_of(x_input(), x_input()), "input 'x' is given twice"),
        (request_of(x_input(name="z" * 999)), f"unexpected input '{'z' * 100}…'"),
        (request_of(x_input(datatype="FP64")), "input 'x' has datatype FP32, not 'FP64'"),
        (request_of(x_input(datatype="BYTES")), "datatype FP32, not 'BYTES'"),
        (request_of(x_input(shape=[])), "input 'x' has shape [rows,2] with at least one row"),
        (request_of(x_input(shape=[2])), "at least one row, not [2]"),
        (request_of(x_input(shape=[0, 2])), "at least one row, not [0,2]"),
        (request_of(x_input(shape=[-1, 2])), "at least one row, not [-1,2]"),
        (request_of(x_input(shape=[-2, -2])), "at least one row, not [-2,-2]"),
        (request_of(x_input(shape=[2, 3])), "at least one row, not [2,3]"),
        (request_of(x_input(shape=[2, 2, 1])), "at least one row, not [2,2,1]"),
        (request_of(x_input(shape=[9] * 99)), "not [9,9,9,9,9,9,9,9,9,9,…]"),
        (request_of(x_input(shape=[9, 2])), "batch-size must be <= 8 for 'one', not 9"),
        (request_of(x_input(shape=[10**4000, 2])), "not a number beyond 64 bits"),
        (request_of(x_input(data=None)), "input 'x' has neither 'data' nor 'binary_data_size'"),
        (request_of(x_input(data=3)), "'data' of input 'x' must be a list"),
        (request_of(x_input(data="AAAA")), "'data' of input 'x' must be a list"),
        (
            request_of(x_input(parameters={"binary_data_size": 16})),
            "input 'x' has both 'data' and 'binary_data_size'",
        ),
        (
            request_of(x_binary(16)),
            "'binary_data_size', but Inference-Header-Content-Length is not given",
        ),
        (
            request_of(x_binary(-1)),
            "parameter 'binary_data_size' of input 'x' must be an integer of at least 0",
        ),
        (request_of(x_binary("16")), "'binary_data_size' of input 'x' must be an integer"),
        (request_of(x_binary(2**70)), "'binary_data_size' of input 'x' must be an integer"),
        (
            request_of(x_input(data=None, parameters={"shared_memory_region": "r"})),
            "parameter 'shared_memory_region' of input 'x' is not supported",
        ),
        (
            request_of(x_input(parameters={"shared_memory_offset": 4})),
            "parameter 'shared_memory_offset' of input 'x' is not supported",
        ),
        (request_of(x_input(), outputs=[{}]), "'outputs[0]': object missing required field `name`"),
        (
            request_of(x_input(), outputs=[{"name": "x"}]),
            "unexpected output 'x': model 'one' gives 'y', 'ok'",
        ),
        (
            request_of(x_input(), outputs=[{"name": "y"}, {"name": "y"}]),
            "output 'y' is requested twice",
        ),
        (
            request_of(x_input(), outputs=[{"name": "y", "parameters": {"classification": 3}}]),
            "parameter 'classification' of output 'y' is not supported",
        ),
        (
            request_of(
                x_input(), outputs=[{"name": "y", "parameters": {"shared_memory_byte_size": 8}}]
            ),
            "parameter 'shared_memory_byte_size' of output 'y' is not supported",
        ),
        (
            request_of(x_input(), outputs=[{"name": "y", "parameters": {"binary_data": 1}}]),
            "parameter 'binary_data' of output 'y' must be true or false",
        ),
        (
            request_of(x_input(), parameters={"binary_data_output": "yes"}),
            "parameter 'binary_data_output' of the request must be true or false",
        ),
        (
            request_of(x_input(), parameters={"timeout": -1}),
            "parameter 'timeout' of the request must be an integer of at least 0",
        ),
        (request_of(x_input(), parameters={"timeout": 1.5}), "parameter 'timeout' of the request"),
        (request_of(x_input(), parameters={"priority": "low"}), "parameter 'priority' of the"),
        (
            request_of(x_input(), parameters={"sequence_id": 0}),
            "parameter 'sequence_id' of the request is not supported",
        ),
        (
            request_of(x_input(), parameters={"sequence_end": False}),
            "parameter 'sequence_end' of the request is not supported",
        ),
        (
            request_of(x_input(), parameters={"triton_enable_empty_final_response": True}),
            "'triton_enable_empty_final_response' is reserved for Triton and not supported",
        ),
        (
            request_of(x_input(), parameters={"mine": {}}),
            "parameter 'mine' must be a number, a string or a boolean",
        ),
    ],
)
def test_a_bad_request_is_refused_by_the_name_of_the_field(request_: object, words: str) -> None:
    assert words in refused(request_)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is empty"),
        (b"{", "the request is not valid JSON: Input data was truncated"),
        (b'{"junk": [1,]}', "the request is not valid JSON: trailing comma in array (byte"),
        (b'{"junk": [NaN]}', "the request is not valid JSON: invalid character (byte"),
        (b'{"inputs": []} {}', "the request is not valid JSON: trailing characters (byte"),
        (b'{"junk": "\xff"}', "the request's JSON is not UTF-8 from byte 10"),
        (b'{"junk": "\xed\xa0\x80"}', "the request's JSON is not UTF-8 from byte 10"),
        (b'{"junk": "\\ud800"}', "the request is not valid JSON"),
        (b'{"junk": ' + b"[" * 100 + b"]" * 100 + b"}", "JSON is nested deeper than 100"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "JSON is nested deeper than 100"),
        (b"[" * 250_000, "JSON is nested deeper than 100"),
        (b'{"inputs":' + b"[" * 250_000 + b"]" * 250_000 + b"}", "JSON is nested deeper than 100"),
    ],
    ids=lambda each: each if isinstance(each, str) else "body",
)
def test_what_is_no_readable_json_is_refused(body: bytes, words: str) -> None:
    assert words in refused(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"inputs":[' + b"{}," * 10_000 + b"{}]}", "JSON has more than 10000 objects"),
        (b'{"a":[' + b"{}," * 400_000 + b'{}], "inputs":[]}', "more than 10000 objects"),
        (
            b'{"inputs":[{"name":"x","datatype":"FP32","shape":[' + b"1," * 50_000 + b"1]}]}",
            "'inputs[0].shape' has 100003 bytes of JSON, but at most 65536 are read",
        ),
        (
            b'{"inputs":[],"parameters":{' + b'"a":1,' * 20_000 + b'"b":1}}',
            "'parameters' has 120007 bytes of JSON, but at most 65536 are read",
        ),
        (
            b'{"inputs":[],"outputs":[{"name":"y","parameters":{"a":"' + b"b" * 70_000 + b'"}}]}',
            "'outputs[0].parameters' has 70008 bytes of JSON, but at most 65536 are read",
        ),
        (b'{"inputs":[],"id":"' + b"a" * 65_537 + b'"}', "'id' has 65537 characters, but at most"),
    ],
    ids=["inputs", "unknown", "shape", "parameters", "of an output", "id"],
)
def test_what_would_take_much_more_memory_than_it_has_bytes_is_refused(
    body: bytes, words: str
) -> None:
    assert words in refused(body)


def test_a_long_text_is_looked_at_in_pieces_that_cut_nothing() -> None:
    for before in range(12):
        text = b" " * (2**20 - 8 + before)
        for strange in ("é", "\U0001f600", "\\" * 9 + '"', '\\"[', "\\\\"):
            string = json.dumps(strange, ensure_ascii=False).encode()
            inside = (
                b'{"junk": ' + text + b"[" + string + b"," + b'"' + b"[" * 200 + b'"], "inputs": ['
            )
            assert parsed(inside + json.dumps(x_input()).encode() + b"]}").rows == 2
    wrong = b'{"junk": "' + "é".encode() * 2**19 + b'a\xe9"}'
    assert f"is not UTF-8 from byte {len(wrong) - 3}" in refused(wrong)
    deep = b'{"junk": "' + b"\\\\" * 2**19 + b'", "a":' + b"[" * 101
    assert "nested deeper than 100" in refused(deep)


def test_brackets_in_strings_and_side_by_side_are_no_nesting() -> None:
    strings = json.dumps(["[" * 500, '\\"[' * 500, "\\", '"' + "{" * 500, [[]] * 500])
    body = f'{{"junk": {strings}, "inputs": [{json.dumps(x_input())}]}}'.encode()
    assert parsed(body).rows == 2
    deepest = b'{"junk": ' + b"[" * 99 + b"]" * 99 + body.replace(b"{", b",", 1)
    assert parsed(deepest).rows == 2


@pytest.mark.parametrize(
    ("size", "tail", "words"),
    [
        (12, bytes(12), "input 'x' of shape [2,2] and datatype FP32 takes 16 bytes, but its"),
        (16, bytes(15), "'binary_data_size' 16, but only 15 bytes are left in the body"),
        (16, bytes(17), "unexpected additional data: 1 bytes after the last input"),
    ],
)
def test_binary_data_of_a_wrong_size_is_refused(size: int, tail: bytes, words: str) -> None:
    assert words in refused(request_of(x_binary(size)), tail)


def test_data_behind_json_inputs_is_refused() -> None:
    assert "1 bytes after the last input" in refused(request_of(x_input()), b"\0")


@pytest.mark.parametrize("length", [-1_000, 10_000])
def test_a_header_length_outside_the_body_is_refused(length: int) -> None:
    message = refused(request_of(x_input()), b"\0", length)
    assert "Inference-Header-Content-Length must be from 0 to the" in message
    assert message.endswith(f"bytes of the body, not {length}")


def test_a_raw_binary_body_needs_one_input_and_whole_rows() -> None:
    message = refused(b"", bytes(24), 0, signature=TWO)
    assert "a raw binary request needs a model with one input, but 'm' has 2" in message
    for size in (0, 7, 9):
        message = refused(b"", bytes(size), 0)
        assert message == f"input 'x' takes 8 bytes a row, but the raw binary body has {size}"


def test_inputs_of_different_rows_are_refused() -> None:
    ids = {"name": "ids", "datatype": "INT64", "shape": [3, 1], "data": [1, 2, 3]}
    message = refused(request_of(x_input(), ids), signature=TWO)
    assert message == "input 'ids' has 3 rows and input 'x' has 2: all inputs need the same"


def test_a_missing_input_is_named() -> None:
    message = refused(request_of(x_input()), signature=TWO)
    assert message == "expected 2 inputs but got 1 inputs for model 'm': 'ids' missing"


def test_every_type_has_a_name_in_the_protocol_except_complex_numbers() -> None:
    assert datatype_of("float32") == "FP32"
    assert datatype_of("bfloat16") == "BF16"
    assert dtype_of("INT64") == "int64"
    assert {dtype_of(datatype_of(dtype)) for dtype in ("bool", "uint8", "float16")} == {
        *("bool", "uint8", "float16")
    }
    with pytest.raises(UsageError, match="type 'complex64' cannot be served"):
        datatype_of("complex64")
    image = ModelInput(name="image", shape=(3, 224, 224))
    (tensor,) = tensors_of((image,))
    assert tensor == Tensor("image", "FP32", (3, 224, 224))
    assert tensor.row_bytes == 602_112


def test_an_answer_in_json_is_one_object() -> None:
    request = InferRequest(id="a", rows=2, inputs=(), outputs=BOTH_JSON)
    y = np.array([[0.1, 1e-30], [3.4e38, 0]], np.float32)
    headers, parts = write_infer(
        TWO, request, [[y[:1].data, y[1:].data], [memoryview(b"\1\0")]], version="3"
    )
    assert headers == {"Content-Type": "application/json"}
    assert b"".join(parts) == (
        b'{"id":"a","model_name":"m","model_version":"3","outputs":[{"name":"y","datatype":"FP32",'
        b'"shape":[2,2],"data":[0.10000000149011612,1.0000000031710769e-30,3.3999999521443642e38,'
        b'0.0]},{"name":"ok","datatype":"BOOL","shape":[2],"data":[true,false]}]}'
    )


def test_binary_outputs_are_sent_from_where_they_lie() -> None:
    request = InferRequest(rows=2, inputs=(), outputs=(Wanted("ok", 1, False), BOTH_BINARY[0]))
    y = np.arange(4, dtype=np.float32).reshape(2, 2)
    headers, parts = write_infer(TWO, request, [[memoryview(b"\0\1")], [y[:1].data, y[1:].data]])
    assert parts[0] == (
        b'{"model_name":"m","model_version":"1","outputs":[{"name":"ok","datatype":"BOOL",'
        b'"shape":[2],"data":[false,true]},{"name":"y","datatype":"FP32","shape":[2,2],'
        b'"parameters":{"binary_data_size":16}}]}'
    )
    assert headers == {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(parts[0])),
    }
    assert [len(part) for part in parts[1:]] == [8, 8]
    y[1] = 7
    assert parts[2] == np.array([7, 7], np.float32).tobytes()


def test_half_precision_is_written_as_the_number_it_is() -> None:
    outputs = (Tensor("half", "FP16", (2,)), Tensor("brain", "BF16", (2,)))
    signature = Signature(model="m", inputs=(), outputs=outputs, max_batch=1)
    wanted = (Wanted("half", 0, False), Wanted("brain", 1, False))
    half = np.array([1.5, -65504], np.float16)
    brain = (np.array([1.5, -3.3895314e38], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    _, parts = write_infer(
        signature,
        InferRequest(rows=1, inputs=(), outputs=wanted),
        [[half.data], [brain.data]],
    )
    shown = [output["data"] for output in json.loads(b"".join(parts))["outputs"]]
    assert shown == [[1.5, -65504.0], [1.5, -3.3895313892515355e38]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_json_lacks_is_refused_by_the_name_of_its_output(value: float) -> None:
    y = np.array([1, value], np.float32)
    with pytest.raises(BadRequest) as caught:
        write_infer(
            TWO, InferRequest(rows=1, inputs=(), outputs=(Wanted("y", 0, False),)), [[y.data]]
        )
    assert caught.value.status == 400
    assert caught.value.message == (
        "output 'y' holds NaN or infinity, which JSON cannot represent: request it as binary data, "
        "with parameter 'binary_data'"
    )
    binary = InferRequest(rows=1, inputs=(), outputs=(Wanted("y", 0, True),))
    assert write_infer(TWO, binary, [[y.data]])[1][1] == y.tobytes()


def test_an_output_of_a_wrong_size_is_the_fault_of_the_model() -> None:
    with pytest.raises(WrongOutput) as caught:
        write_infer(
            TWO, InferRequest(rows=3, inputs=(), outputs=BOTH_BINARY[:1]), [[memoryview(bytes(16))]]
        )
    assert caught.value.status == 500
    assert caught.value.message == (
        "output 'y' of shape [3, 2] and datatype FP32 takes 24 bytes, but the model gave 16"
    )


def test_an_error_is_one_field_whatever_the_text() -> None:
    headers, parts = write_error('no "x"')
    assert (headers, parts) == (
        {"Content-Type": "application/json"},
        [b'{"error":"no \\"x\\""}'],
    )
    assert write_error("\udcff")[1] == [b'{"error":"?"}']


ELEMENTS = {name: np.dtype(code) for name, code in DTYPES.items()}


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[Signature, dict[str, np.ndarray[Any, Any]], set[str]]:
    """A model that returns its inputs, with values for them and which of them are binary."""
    rows = draw(st.integers(1, 4))
    names = draw(st.lists(st.text(max_size=5), min_size=1, max_size=4, unique=True))
    tensors = []
    values = {}
    for name in names:
        datatype = draw(st.sampled_from(sorted(ELEMENTS)))
        shape = draw(arrays.array_shapes(min_dims=0, max_dims=3, max_side=3))
        dtype = ELEMENTS[datatype]
        elements = arrays.from_dtype(dtype)
        if dtype.kind == "f":
            elements = arrays.from_dtype(dtype, allow_nan=False, allow_infinity=False)
        values[name] = draw(arrays.arrays(dtype, (rows, *shape), elements=elements))
        tensors.append(Tensor(name, datatype, shape))
    signature = Signature(
        model="echo", inputs=tuple(tensors), outputs=tuple(tensors), max_batch=rows
    )
    return signature, values, draw(st.sets(st.sampled_from(names)))


@given(exchanges(), st.text(max_size=8), st.randoms(use_true_random=False))
def test_what_is_sent_comes_back_exactly(
    exchange: tuple[Signature, dict[str, np.ndarray[Any, Any]], set[str]], id_: str, random: Random
) -> None:
    signature, values, binary = exchange
    datatypes = {tensor.name: tensor.datatype for tensor in signature.inputs}
    shuffled = dict(random.sample(sorted(values.items(), key=lambda item: item[0]), len(values)))
    outputs = [{"name": name, "parameters": {"binary_data": name in binary}} for name in shuffled]
    body, length = ask(shuffled, binary, datatypes, outputs=outputs, id=id_)
    request = parse_infer(body, length, signature)
    echoed = []
    for wanted in request.outputs:
        found = sent(body, request, wanted.index, values[wanted.name])
        cut = random.randrange(1, request.rows + 1)
        pieces = [each for each in (found[:cut], found[cut:]) if each.size]
        echoed.append([np.ascontiguousarray(each).data for each in pieces])
    shown, back = answered(*write_infer(signature, request, echoed))
    assert shown.get("id", "") == request.id == id_
    assert list(back) == list(shuffled)
    for name, value in values.items():
        assert back[name].tobytes() == value.tobytes()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("inputs", "outputs", "parameters", "name", "datatype", "shape", "data", "id"),
                    *("binary_data_size", "binary_data", "timeout", "classification", "priority"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def reads_or_refuses(body: bytes, length: int | None) -> None:
    for signature in (ONE, TWO):
        try:
            found = parse_infer(memoryview(body), length, signature)
        except BadRequest as refusal:
            assert refusal.status == 400
            assert 0 < len(refusal.message) < 400
            write_error(refusal.message)
            continue
        assert 1 <= found.rows <= 8
        assert len(found.inputs) == len(signature.inputs)
        for place in found.inputs:
            assert 0 <= place.offset < place.offset + place.size <= len(body)
            if isinstance(place, Text):
                assert isinstance(json.loads(body[place.offset :][: place.size]), list)


@given(JSON_VALUES, st.binary(max_size=8))
def test_any_json_is_read_or_refused(value: object, tail: bytes) -> None:
    header = json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
    reads_or_refuses(header + tail, len(header) if tail else None)


@given(
    JSON_VALUES,
    st.sampled_from(["id", "inputs", "outputs", "parameters"]),
    st.sampled_from(["name", "datatype", "shape", "data", "parameters", None]),
)
def test_any_field_may_be_anything(value: object, field: str, inner: str | None) -> None:
    request = request_of(x_input(), id="a", outputs=[{"name": "y", "parameters": {}}])
    fields = request.get(field)
    if inner is not None and isinstance(fields, list):
        fields[0][inner] = value
    else:
        request[field] = value
    reads_or_refuses(json.dumps(request).encode(), None)


@given(st.binary(max_size=64), st.none() | st.integers(-2, 70))
def test_any_bytes_are_read_or_refused(body: bytes, length: int | None) -> None:
    reads_or_refuses(body, length)


@given(st.data())
def test_a_damaged_request_is_read_or_refused(data: st.DataObject) -> None:
    ids = {"name": "ids", "datatype": "INT64", "shape": [2, 1], "data": [1, 2]}
    request = request_of(x_binary(16), ids, parameters={"timeout": 3}, outputs=[{"name": "y"}])
    header = json.dumps(request).encode()
    body = bytearray(header + bytes(16))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        end = data.draw(st.integers(at, min(len(body), at + 4)))
        body[at:end] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"-", b"[", b'"', b"9e9"])
        )
    reads_or_refuses(
        bytes(body), data.draw(st.sampled_from([None, 0, len(header), len(body) - 16]))
    )
