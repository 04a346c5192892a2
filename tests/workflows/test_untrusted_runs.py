"""A run folder from somebody else runs no code."""

import msgspec
import pytest
from plan_runs import four_cores

from coresplit.errors import UsageError
from coresplit.records import ModelInfo, ModelInput, Run
from coresplit.workflows.conditions import spec_again


def naming(source: str) -> Run:
    model = ModelInfo(
        name="net", title="net", source=source, inputs=(ModelInput(name="x", shape=(32,)),)
    )
    return msgspec.structs.replace(four_cores(), model=model)


def test_python_code_that_a_run_folder_names_needs_trust() -> None:
    run = naming("json:JSONDecoder")
    with pytest.raises(
        UsageError, match=r"names the Python code 'json:JSONDecoder'.*trust it.*trust"
    ):
        spec_again(run, None, trust=False)
    assert spec_again(run, None, trust=True).name == "json:JSONDecoder"


def test_a_built_in_model_of_a_run_folder_needs_no_trust() -> None:
    assert not spec_again(naming("resnet50"), None, trust=False).trust
