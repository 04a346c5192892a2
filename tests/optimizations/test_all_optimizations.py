"""Every optimization on small networks: equal outputs for any batch, and what it states."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import msgspec
import pytest
import torch
from small_networks import subject_of

from coresplit.cache import Cache
from coresplit.errors import PrepareFailed
from coresplit.models import ModelSpec, build
from coresplit.optimizations import MAX_ERROR, OPTIMIZATIONS, PrepareRequest, compare, reference

COMPILED = ["compile", "compile_freeze"]
LOSSY = ["bf16", "int8"]
EXACT = [name for name in OPTIMIZATIONS if name not in LOSSY]
slow = pytest.mark.slow
pytestmark = pytest.mark.usefixtures("same_process")
SPACED = "torch.compile cannot take a path with a space, as that of this environment"


@pytest.fixture(autouse=True)
def _skip_compiling_under_a_path_with_a_space(request: pytest.FixtureRequest) -> None:
    if "compil" in request.node.name and " " in torch.__file__:
        pytest.skip(SPACED)


def test_a_space_in_a_path_is_said_before_anything_is_built(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "__file__", "/home/ann/my models/torch/__init__.py")
    with pytest.raises(PrepareFailed, match=r"'/home/ann/my models/torch' has a space in it"):
        OPTIMIZATIONS["compile"].prepare(subject_of("images", cache))


def skip_without_bf16(name: str) -> None:
    if name == "bf16" and "avx512_bf16" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this CPU has no bfloat16")


def network_of(name: str) -> str:
    return "convolution" if name == "mkldnn" else "images"


@slow
@pytest.mark.parametrize("name", list(OPTIMIZATIONS))
def test_a_prepared_model_says_the_same_for_any_batch(name: str, cache: Path) -> None:
    skip_without_bf16(name)
    request = subject_of(network_of(name), cache)
    eager, prepared = reference(request), OPTIMIZATIONS[name].prepare(request)
    limit = 0.1 if name in LOSSY else MAX_ERROR / 10
    for batch in (1, 2, 7, 2, 64):
        inputs = request.make_inputs(batch, batch)
        forward, expected = prepared.bind(inputs), eager.bind(inputs)()
        once = tuple(output.clone() for output in forward())
        again = forward()
        assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
        if batch == 1:
            assert torch.allclose(expected[0], once[0], atol=limit)
        else:
            error = compare(expected, once).error
            assert error < limit
            assert name not in LOSSY or error > MAX_ERROR / 10


@slow
@pytest.mark.parametrize(
    "name", ["none", "script", "trace", "compile_freeze", "onnxruntime", "openvino"]
)
def test_integer_inputs_and_several_outputs_are_taken(name: str, cache: Path) -> None:
    request = subject_of("texts", cache)
    inputs = request.make_inputs(5, 1)
    expected = reference(request).bind(inputs)()
    found = OPTIMIZATIONS[name].prepare(request).bind(inputs)()
    assert [each.shape for each in found] == [(5, 6, 25), (5, 32)]
    assert compare(expected, found).error < MAX_ERROR / 10


@slow
def test_a_module_that_gathers_its_inputs_is_exported_for_any_batch(cache: Path) -> None:
    request = subject_of("gathered", cache)
    prepared = OPTIMIZATIONS["onnxruntime"].prepare(request)
    for batch in (2, 5):
        inputs = request.make_inputs(batch, 1)
        expected = reference(request).bind(inputs)()
        assert compare(expected, prepared.bind(inputs)()).error < MAX_ERROR / 10


@slow
def test_int8_takes_integer_inputs_for_a_transformer(cache: Path) -> None:
    request = subject_of("texts", cache)
    inputs = request.make_inputs(16, 1)
    prepared = OPTIMIZATIONS["int8"].prepare(request)
    comparison = compare(reference(request).bind(inputs)(), prepared.bind(inputs)())
    assert MAX_ERROR / 10 < comparison.error < 0.1
    assert prepared.facts["int8 operators"] == "2 of 2"


@pytest.mark.parametrize("name", ["none", "script", "trace", "channels_last"])
@pytest.mark.parametrize("threads", [1, 2])
def test_pytorch_states_its_threads(name: str, threads: int, cache: Path) -> None:
    torch.set_num_threads(threads)
    prepared = OPTIMIZATIONS[name].prepare(subject_of("images", cache, threads))
    assert prepared.threads == threads
    assert prepared.facts["library"] == f"PyTorch {torch.__version__}"


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from small_networks import subject_of
from coresplit.optimizations import OPTIMIZATIONS
import torch
torch.set_num_threads(int(sys.argv[4]))
subject = subject_of("images", Path(sys.argv[2]), int(sys.argv[4]))
prepared = OPTIMIZATIONS[sys.argv[3]].prepare(subject)
prepared.bind(subject.make_inputs(3, 0))()
print(prepared.threads, prepared.facts)
"""


def in_a_process(
    name: str, threads: int, cache: Path, **variables: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(Path(__file__).parent), cache, name, str(threads)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | variables,
    )


@slow
@pytest.mark.parametrize(
    ("name", "threads"),
    [
        ("onnxruntime", 1),
        ("onnxruntime", 2),
        ("openvino", 1),
        ("openvino", 2),
        ("bf16", 2),
        ("int8", 2),
    ],
)
def test_a_library_states_its_threads_and_writes_nothing_else(
    name: str, threads: int, cache: Path, tmp_path: Path
) -> None:
    """In a process of its own, whose home shows that nothing is kept for telemetry."""
    skip_without_bf16(name)
    if len(os.sched_getaffinity(0)) < threads:
        pytest.skip("fewer cores than threads")
    run = in_a_process(name, threads, cache, HOME=str(tmp_path))
    stated = {
        "onnxruntime": "'provider': 'CPUExecutionProvider', 'inter-op threads': '1'",
        "openvino": "'precision': 'float32', 'streams': '1'",
        "bf16": "'precision': 'bfloat16', 'streams': '1', 'bf16 operators': '2 of 2'",
        "int8": "'precision': 'int8', 'streams': '1', 'int8 operators': '2 of 2'",
    }
    assert run.stderr == ""
    assert run.stdout.startswith(f"{threads} {{'library': ")
    assert stated[name] in run.stdout
    assert run.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@slow
@pytest.mark.parametrize("name", COMPILED)
def test_compiling_leaves_no_process_behind_and_its_files_in_the_cache(
    name: str, cache: Path
) -> None:
    request = subject_of("images", cache)
    OPTIMIZATIONS[name].prepare(request)
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    assert all("compile_worker" not in _command(child) for child in children)
    folder = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
    assert folder.parent == cache
    assert list(folder.rglob("*.so"))
    assert any(entry.kind == "inductor" and entry.whole for entry in request.cache.entries())


def _command(process: str) -> str:
    return Path(f"/proc/{process}/cmdline").read_text()


@slow
@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_model_meets_no_batch_that_it_must_compile_for(name: str, cache: Path) -> None:
    request = subject_of("images", cache)
    prepared = OPTIMIZATIONS[name].prepare(request)
    with torch.compiler.set_stance("fail_on_recompile"):
        for batch in (1, 2, 3, 8, 15, 16, 17, 128):
            assert len(prepared.bind(request.make_inputs(batch, 0))()[0]) == batch


@slow
def test_code_that_was_cut_short_is_compiled_anew(cache: Path) -> None:
    """As a process that was killed while compiling leaves it."""
    OPTIMIZATIONS["compile"].prepare(subject_of("images", cache))
    folder = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
    for library in folder.rglob("*.so"):
        start = library.read_bytes()[:1000]
        # this process has loaded it, so the file it has stays
        library.unlink()
        library.write_bytes(start)
    run = in_a_process("compile", 1, cache)
    assert run.stdout.startswith("1 {'library': ")
    assert "'batch': 'any'" in run.stdout


@slow
def test_a_library_that_cannot_be_loaded_empties_the_folder_for_a_second_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coresplit.optimizations.pytorch import compile as inductor

    attempts: list[tuple[bool, bool]] = []

    def compile_one(*_: object, dynamic: bool, **__: object) -> str:
        junk = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]) / "junk.so"
        attempts.append((dynamic, junk.exists()))
        junk.write_text("junk")
        if len(attempts) == 1:
            raise OSError("file too short")
        return "prepared"

    monkeypatch.setattr(inductor, "_compile", compile_one)
    # nothing is compiled here, so the paths of this environment do not matter
    monkeypatch.setattr(inductor, "_require_plain_paths", lambda request: None)
    request = subject_of("images", tmp_path)
    prepared: object = OPTIMIZATIONS["compile"].prepare(request)
    assert prepared == "prepared"
    assert attempts == [(True, False), (True, False)]
    assert [entry.kind for entry in request.cache.entries()] == ["inductor"]


@slow
def test_a_model_that_compiles_for_fixed_batches_only_is_compiled_for_each(cache: Path) -> None:
    request = subject_of("fixed", cache)
    prepared = OPTIMIZATIONS["compile"].prepare(request)
    assert prepared.facts["batch"] == "compiled for each"
    eager = reference(request)
    for batch in range(1, 11):
        inputs = request.make_inputs(batch, 0)
        assert torch.allclose(eager.bind(inputs)()[0], prepared.bind(inputs)()[0])


@slow
def test_a_compiler_that_does_not_work_is_one_line(cache: Path) -> None:
    from torch._inductor import config

    with config.patch({"cpp.cxx": (None, "/bin/false")}), pytest.raises(PrepareFailed) as caught:
        OPTIMIZATIONS["compile"].prepare(subject_of("branches", cache))
    text = str(caught.value)
    assert text.startswith("the model cannot be compiled: ")
    assert "C++ compiler" in text and "\n" not in text


@pytest.mark.parametrize("name", ["none", "script", "trace"])
def test_a_prepared_model_runs_in_inference_mode(name: str, cache: Path) -> None:
    request = subject_of("images", cache)
    (output,) = OPTIMIZATIONS[name].prepare(request).bind(request.make_inputs(2, 0))()
    assert output.is_inference()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("name", ["script", "trace", "channels_last", "mkldnn"])
def test_preparing_leaves_the_module_usable_and_its_values_as_they_were(
    name: str, cache: Path
) -> None:
    request = subject_of(network_of(name), cache)
    assert request.module is not None
    before = {key: value.clone() for key, value in request.module.state_dict().items()}
    expected = request.module(*request.make_inputs(2, 0))
    OPTIMIZATIONS[name].prepare(request)
    after = request.module.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert torch.allclose(expected, request.module(*request.make_inputs(2, 0)), atol=1e-5)
    assert expected.requires_grad


def operators(name: str, cache: Path) -> set[str]:
    request = subject_of("images", cache)
    forward = OPTIMIZATIONS[name].prepare(request).bind(request.make_inputs(2, 0))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        forward()
    return {event.key for event in profile.key_averages()}


def test_torchscript_is_optimized_before_its_first_run(cache: Path) -> None:
    assert {"aten::convolution", "aten::batch_norm"} <= operators("none", cache)
    for name in ("script", "trace"):
        prepacked = operators(name, cache)
        assert not {"aten::convolution", "aten::batch_norm"} & prepacked
        assert "aten::to_mkldnn" in prepacked


def test_channels_last_runs_convolutions_on_nhwc_and_takes_nchw(cache: Path) -> None:
    request = subject_of("images", cache)
    prepared = OPTIMIZATIONS["channels_last"].prepare(request)
    assert request.module is not None
    seen = []
    request.module.conv.register_forward_hook(  # type: ignore[union-attr]
        lambda module, inputs, output: seen.append((inputs[0], output))
    )
    inputs = request.make_inputs(4, 0)
    prepared.bind(inputs)()
    ((taken, given),) = seen
    assert inputs[0].is_contiguous()
    assert taken.is_contiguous(memory_format=torch.channels_last)
    assert given.is_contiguous(memory_format=torch.channels_last)
    assert not given.is_contiguous()


@pytest.mark.parametrize("name", ["texts", "branching"])
def test_channels_last_is_refused_where_there_are_no_images(name: str, cache: Path) -> None:
    with pytest.raises(PrepareFailed, match="no 4-dimensional input or weight"):
        OPTIMIZATIONS["channels_last"].prepare(subject_of(name, cache))


def test_mkldnn_is_refused_with_the_operator_that_does_not_take_its_tensors(cache: Path) -> None:
    with pytest.raises(PrepareFailed) as caught:
        OPTIMIZATIONS["mkldnn"].prepare(subject_of("branches", cache))
    text = str(caught.value)
    assert text.startswith("operator aten::cat does not support oneDNN's tensors: ")
    assert "\n" not in text


def test_script_says_that_it_was_scripted_where_the_code_allows_it(cache: Path) -> None:
    prepared = OPTIMIZATIONS["script"].prepare(subject_of("images", cache))
    assert prepared.facts["torchscript"] == "scripted"
    assert OPTIMIZATIONS["trace"].prepare(subject_of("images", cache)).facts["torchscript"] == (
        "traced"
    )


@pytest.mark.parametrize("network", ["gathered", "checking"])
def test_script_is_traced_where_the_code_cannot_be_scripted_and_says_so(
    network: str, cache: Path
) -> None:
    request = subject_of(network, cache)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prepared = OPTIMIZATIONS["script"].prepare(request)
    assert caught == []
    assert prepared.facts["torchscript"] == "traced"
    for batch in (1, 2, 7, 64):
        inputs = request.make_inputs(batch, 1)
        expected, found = reference(request).bind(inputs)(), prepared.bind(inputs)()
        for one, other in zip(expected, found, strict=True):
            assert torch.allclose(one, other, atol=1e-6)


def test_a_module_that_came_as_torchscript_is_taken_as_it_is(cache: Path) -> None:
    request = subject_of("images", cache)
    assert request.module is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        came = torch.jit.trace(request.module, request.make_inputs(2, 0))  # type: ignore[no-untyped-call]
    prepared = OPTIMIZATIONS["script"].prepare(msgspec.structs.replace(request, module=came))
    assert prepared.facts["torchscript"] == "as it came"


@pytest.mark.parametrize("name", ["script", "trace"])
def test_a_trace_that_takes_the_batch_for_a_constant_is_refused(name: str, cache: Path) -> None:
    with pytest.raises(PrepareFailed, match="a trace of 2 inputs is wrong for 1") as caught:
        OPTIMIZATIONS[name].prepare(subject_of("counting", cache))
    assert "\n" not in str(caught.value)


def test_script_gives_both_reasons_where_it_can_neither_script_nor_trace(cache: Path) -> None:
    with pytest.raises(PrepareFailed) as caught:
        OPTIMIZATIONS["script"].prepare(subject_of("counting", cache))
    text = str(caught.value)
    assert "cannot be scripted (" in text and "cannot be traced: " in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("script", "the model cannot be scripted ("),
        pytest.param("onnxruntime", "the model cannot be exported to ONNX: ", marks=slow),
    ],
)
def test_a_model_that_does_not_fit_is_refused_with_the_cause_in_one_line(
    name: str, said: str, cache: Path
) -> None:
    request = subject_of("branching", cache)
    with pytest.raises(PrepareFailed) as caught:
        OPTIMIZATIONS[name].prepare(request)
    text = str(caught.value)
    assert text.startswith(said)
    assert len(text) > len(said) + 20
    assert "\n" not in text
    assert not any(entry.key.get("identity") == "branching" for entry in request.cache.entries())


def test_a_module_in_training_mode_is_not_scripted(cache: Path) -> None:
    request = subject_of("images", cache)
    assert request.module is not None
    request.module.train()
    with pytest.raises(RuntimeError, match="eval"):
        OPTIMIZATIONS["script"].prepare(request)


@pytest.mark.parametrize("name", ["script", "trace", "mkldnn"])
def test_a_library_warns_of_nothing_and_no_warning_of_others_is_hidden(
    name: str, cache: Path
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        OPTIMIZATIONS[name].prepare(subject_of(network_of(name), cache))
        assert caught == []
        warnings.warn("`torch.jit.script` is deprecated", DeprecationWarning, stacklevel=1)
        assert len(caught) == 1


@slow
def test_inception_says_the_same_wherever_it_runs(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coresplit.optimizations.openvino.int8.SAMPLES", 8)
    model = build(ModelSpec(name="inception", size=75))
    request = PrepareRequest(
        module=model.module,
        inputs=model.inputs,
        make_inputs=model.make_inputs,
        identity="inception",
        cpus=tuple(sorted(os.sched_getaffinity(0)))[:1],
        cache=Cache(cache),
    )
    with pytest.raises(PrepareFailed, match="operator aten::cat"):
        OPTIMIZATIONS["mkldnn"].prepare(request)
    inputs = model.make_inputs(4, 3)
    expected = reference(request).bind(inputs)()
    for name in ("onnxruntime", "openvino"):
        found = OPTIMIZATIONS[name].prepare(request).bind(inputs)()
        error = compare(expected, found).error
        assert 0 < error < MAX_ERROR / 2, name
    for name in LOSSY:
        skip_without_bf16(name)
        prepared = OPTIMIZATIONS[name].prepare(request)
        assert compare(expected, prepared.bind(inputs)()).error > MAX_ERROR
        assert prepared.facts[f"{name} operators"] == "95 of 95"
