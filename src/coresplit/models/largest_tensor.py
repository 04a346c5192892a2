"""The largest tensor that operators make; apart from ``tensors``, as it cannot do without torch."""

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LargestTensor(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While entered, ``size`` is the bytes of the largest tensor that any operator made anew.

    It sees operators and not modules, so that TorchScript and functions are seen too.
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
        """Run the operator and look at what it puts out."""
        outputs = func(*args, **(kwargs or {}))
        taken = {each.untyped_storage().data_ptr() for each in _tensors((args, kwargs))}
        for each in _tensors(outputs):
            # a view, of a weight perhaps, is not made anew
            if each.untyped_storage().data_ptr() not in taken:
                self.size = max(self.size, each.nbytes)
        return outputs


def _tensors(values: object) -> list[Tensor]:
    return [each for each in tree_leaves(values) if isinstance(each, Tensor)]
