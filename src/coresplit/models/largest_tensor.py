"""The largest tensor that operators allocate; apart from ``tensors`` because it imports torch."""

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LargestTensor(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, records in ``size`` the bytes of the largest tensor that an operator allocates.

    It watches operators, not modules, so it covers TorchScript and functions.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.size = 0

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 (torch's own signature)
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Run the operator and measure its outputs."""
        outputs = func(*args, **(kwargs or {}))
        taken = {each.untyped_storage().data_ptr() for each in _tensors((args, kwargs))}
        for each in _tensors(outputs):
            # a view, perhaps of a weight, is not an allocation
            if each.untyped_storage().data_ptr() not in taken:
                self.size = max(self.size, each.nbytes)
        return outputs


def _tensors(values: object) -> list[Tensor]:
    return [each for each in tree_leaves(values) if isinstance(each, Tensor)]
