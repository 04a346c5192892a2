import subprocess
import sys
from importlib import import_module

import pytest

from coresplit.errors import UsageError
from coresplit.optimizations import (
    OPTIMIZATIONS,
    Optimization,
    missing_packages,
    optimization_named,
    require_applicable,
    usable,
)

ABSENT = Optimization(
    name="warp",
    title="Warp",
    description="not there",
    lossy=True,
    packages=("torch", "no_such_package_here"),
    extra="warp",
    prepared_by="coresplit.optimizations.pytorch.eager:prepare",
)


def test_importing_the_optimizations_does_not_import_a_heavy_library() -> None:
    code = (
        "import sys; from coresplit.optimizations import *;"
        "[usable(name) for name in OPTIMIZATIONS];"
        "heavy = ('torch', 'numpy', 'onnx', 'onnxruntime', 'openvino', 'nncf');"
        "print([name for name in heavy if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_registry_holds_each_optimization_under_its_name() -> None:
    assert " ".join(OPTIMIZATIONS) == (
        "none script trace channels_last mkldnn onnxruntime openvino bf16 int8 "
        "compile compile_freeze"
    )
    for name, optimization in OPTIMIZATIONS.items():
        assert optimization_named(name) is optimization
        assert optimization.name == name
        assert optimization.lossy == (name in ("bf16", "int8"))
        assert optimization.title and "\n" not in optimization.description
        assert "module" in optimization.takes


@pytest.mark.parametrize("optimization", OPTIMIZATIONS.values(), ids=lambda each: each.name)
def test_the_function_that_prepares_exists(optimization: Optimization) -> None:
    module, _, function = optimization.prepared_by.partition(":")
    assert callable(getattr(import_module(module), function))


def test_titles_tell_the_optimizations_apart() -> None:
    assert len({each.title for each in OPTIMIZATIONS.values()}) == len(OPTIMIZATIONS)


@pytest.mark.parametrize(("name", "close"), [("scrpt", "script"), ("non", "none")])
def test_an_unknown_optimization_is_refused_with_the_closest_name(name: str, close: str) -> None:
    with pytest.raises(UsageError) as caught:
        optimization_named(name)
    assert str(caught.value) == (f"unknown optimization '{name}'; did you mean '{close}'?")


def test_a_name_like_no_other_points_to_the_list() -> None:
    with pytest.raises(UsageError) as caught:
        usable("zzz")
    assert str(caught.value).startswith("unknown optimization 'zzz'; known are none, script, ")


def test_an_onnx_file_is_only_given_to_what_can_run_it() -> None:
    require_applicable(["onnxruntime", "openvino", "bf16", "int8"], "onnx", "model.onnx")
    require_applicable(OPTIMIZATIONS, "module", "inception")
    with pytest.raises(UsageError) as caught:
        require_applicable(["onnxruntime", "script"], "onnx", "model.onnx")
    assert str(caught.value) == (
        "optimization 'script' needs a PyTorch module, but model.onnx is an ONNX file; "
        "choose from onnxruntime, openvino, bf16, int8"
    )
    with pytest.raises(UsageError, match="unknown optimization 'scrpt'"):
        require_applicable(["scrpt"], "onnx", "model.onnx")


def test_what_is_installed_is_usable_and_what_is_not_says_how_to_get_it() -> None:
    assert usable("none") is None
    assert usable("script") is None
    assert missing_packages(ABSENT) == (
        "warp needs no_such_package_here: pip install 'coresplit[warp]'"
    )


def test_a_missing_compiler_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert usable("script") is None
    assert usable("compile") == (
        "compile needs a C++ compiler: apt install g++, dnf install gcc-c++, or set CXX to another"
    )


def test_the_compiler_is_the_one_that_cxx_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    missing = usable("compile_freeze") or ""
    assert "C++ compiler no-such-compiler" in missing
    assert "CXX" in missing
    monkeypatch.setenv("CXX", f"'{sys.executable}' -O2")
    assert usable("compile_freeze") is None


def test_another_program_that_is_missing_is_named() -> None:
    record = Optimization(
        name="warp",
        title="Warp",
        description="not there",
        packages=("torch",),
        extra="warp",
        programs=("no-such-program",),
        prepared_by="coresplit.optimizations.pytorch.eager:prepare",
    )
    assert missing_packages(record) == "warp needs the program no-such-program: install it"
