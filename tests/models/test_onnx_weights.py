"""Weights beside an ONNX file lie where the file says, which may be a lie."""

import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from own_models import refused, save_graph

from coresplit.errors import UsageError
from coresplit.models.user.onnx_weights import weight_files


def beside(location: str, **numbers: str) -> TensorProto:
    """Fifteen floats that lie in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3, 5])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": location} | numbers).items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def model(folder: Path, weight: TensorProto) -> Path:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    (folder / "net.data").write_bytes(b"\1" * 60)
    return save_graph(
        folder / "net.onnx", [node], {"x": ["n", 3]}, {"y": ["n", 5]}, weights=[weight]
    )


@pytest.mark.parametrize("key", ["offset", "length"])
@pytest.mark.parametrize("value", ["many", "-4", "1e3", "0x10", "", "9" * 5000, str(2**64), "٣"])
def test_a_place_that_is_no_number_of_bytes_is_refused(
    tmp_path: Path, key: str, value: str
) -> None:
    line = refused(model(tmp_path, beside("net.data", **{key: value})))
    assert f"the {key} of its external weights is '{value[:40]}'" in line
    assert len(line) < 300 + len(str(tmp_path))


@pytest.mark.parametrize(("offset", "length"), [("4", "60"), ("61", ""), (str(2**62), "60")])
def test_a_place_beyond_the_end_is_refused(tmp_path: Path, offset: str, length: str) -> None:
    numbers = {"offset": offset} | ({"length": length} if length else {})
    assert "is truncated; download it again" in refused(
        model(tmp_path, beside("net.data", **numbers))
    )


@pytest.mark.parametrize("location", ["../net.data", "a/../../net.data", ".."])
def test_a_file_outside_of_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "net.data").write_bytes(b"\1" * 60)
    line = refused(model(tmp_path / "in", beside(location)))
    assert f"has its weights in '{location}', outside its folder" in line


@pytest.mark.parametrize("location", ["", ".", "/etc/passwd", "a\0b"])
def test_a_name_that_is_none_of_a_file_beside_it_is_refused(tmp_path: Path, location: str) -> None:
    assert "is damaged: it has weights in a file named" in refused(
        model(tmp_path, beside(location))
    )


def link_out(file: Path) -> None:
    file.symlink_to("/etc/passwd")


def pipe(file: Path) -> None:
    os.mkfifo(file)


def folder(file: Path) -> None:
    file.mkdir()


def loop(file: Path) -> None:
    file.symlink_to(file)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (link_out, "is a link out of"),
        (pipe, "is not a regular file"),
        (folder, "is not a regular file"),
        (loop, "is not a regular file"),
    ],
)
def test_what_is_no_file_is_refused(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    path = model(tmp_path, beside("odd"))
    make(tmp_path / "odd")
    assert reason in refused(path)


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    line = refused(model(tmp_path, beside("x" * 5000)))
    assert "cannot be read: File name too long" in line
    assert len(line) < 500


def test_weights_of_attributes_and_branches_are_checked_too(tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["c"], value=beside("net.data", offset="many"))
    inner = helper.make_graph(
        [constant], "inner", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [3, 5])]
    )
    branch = helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=inner)
    for node in (constant, branch):
        path = save_graph(tmp_path / "net.onnx", [node], {"x": ["n", 3]}, {"c": ["n", 5]})
        assert "the offset of its external weights is 'many'" in refused(path)


@given(st.dictionaries(st.sampled_from(["location", "offset", "length", "else"]), st.text()))
def test_whatever_it_says_of_its_weights_is_a_file_or_one_line(said: dict[str, str]) -> None:
    tensor = beside(said.pop("location", "x"), **said)
    graph = helper.make_graph([], "g", [], [], initializer=[tensor])
    try:
        found = weight_files("net", Path("/dev/null/net.onnx"), onnx.ModelProto(graph=graph))
    except UsageError as error:
        assert str(error)
    else:
        assert found == []
