"""What OpenVINO states of itself is read back, not believed."""

import importlib
import os
import sys

import pytest

from coresplit.errors import PrepareFailed
from coresplit.optimizations.libraries import disable_telemetry
from coresplit.optimizations.openvino.runtime import require_settings

pytestmark = pytest.mark.usefixtures("same_process")


class Stating:
    """A compiled model that states these properties."""

    def __init__(self, **properties: object) -> None:
        self._properties = properties

    def get_property(self, name: str) -> object:
        return self._properties[name]


class Type:
    """OpenVINO's own class for types of numbers."""

    def to_string(self) -> str:
        return "f32"


def test_settings_that_were_followed_pass() -> None:
    model = Stating(INFERENCE_PRECISION_HINT=Type(), NUM_STREAMS="1", ENABLE_CPU_PINNING=False)
    asked = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    require_settings(model, asked)


def test_bfloat16_that_became_float32_without_a_word_is_refused_with_the_reason() -> None:
    with pytest.raises(PrepareFailed) as caught:
        require_settings(
            Stating(INFERENCE_PRECISION_HINT=Type()), {"INFERENCE_PRECISION_HINT": "bf16"}
        )
    assert "f32 instead of bf16: this CPU has no bfloat16" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "asked", "found"),
    [("INFERENCE_NUM_THREADS", 4, 2), ("INFERENCE_PRECISION_HINT", "f32", "bf16")],
)
def test_another_setting_that_was_not_followed_is_refused(
    name: str, asked: object, found: object
) -> None:
    with pytest.raises(PrepareFailed) as caught:
        require_settings(Stating(**{name: found}), {name: asked})
    assert str(caught.value) == f"OpenVINO reports {name} {found} instead of {asked}"


def test_telemetry_is_forgone_unless_the_user_said_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("ORT_TELEMETRY_DISABLED", "0")
    disable_telemetry()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("openvino_telemetry")
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    assert os.environ["ORT_TELEMETRY_DISABLED"] == "0"
