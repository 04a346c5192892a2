"""The model for Triton's Python backend, which gives the requests of a batch one by one."""

import numpy as np
import triton_python_backend_utils as pb
from served import load, options

given = options()


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.model = load(given)

    def execute(self, requests: list[object]) -> list[object]:
        rows = [pb.get_input_tensor_by_name(each, "x").as_numpy() for each in requests]
        scores = self.model(rows[0] if len(rows) == 1 else np.concatenate(rows))
        answers = []
        first = 0
        for each in rows:
            found = pb.Tensor("output", scores[first : first + len(each)])
            answers.append(pb.InferenceResponse(output_tensors=[found]))
            first += len(each)
        return answers
