"""The model for Triton's Python backend, which gives the requests of a batch one by one."""

from typing import Any

import triton_python_backend_utils as pb
from served import Rows, joined, load, options, parted

given = options()


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.model = load(given)

    def execute(self, requests: list[Any]) -> list[Any]:
        rows = [rows_of(each) for each in requests]
        found = parted(self.model(joined(rows)), [len(each[0]) for each in rows])
        return [pb.InferenceResponse(output_tensors=outputs_of(each)) for each in found]


def rows_of(request: Any) -> Rows:  # noqa: ANN401 (it has no types)
    return tuple(
        pb.get_input_tensor_by_name(request, each.name).as_numpy() for each in given.inputs
    )


def outputs_of(rows: Rows) -> list[Any]:
    return [pb.Tensor(each.name, one) for each, one in zip(given.outputs, rows, strict=True)]
