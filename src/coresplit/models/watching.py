"""The cost of the operators that run.

Import it after the model has run once: it then knows whether TorchDynamo is in use.
"""

import sys
from typing import Any

from torch import Tensor, ops
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_flop_count


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, watches every operator that runs.

    ``largest_tensor`` is the bytes of the largest tensor that one allocated, ``flops`` the
    operations of those that PyTorch's ``flop_registry`` has a formula for. It watches operators,
    not modules, so it covers TorchScript and functions. ``complete`` is false if it could not watch
    all: what a loop runs, for example.

    PyTorch's ``FlopCounterMode`` counts the same, but imports TorchDynamo first, which takes as
    long as the import of PyTorch itself, and memory.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.largest_tensor = 0
        self.flops = 0
        self.complete = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep TorchDynamo away only if it is there: a model that runs it has imported it."""
        return "torch._dynamo" in sys.modules

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 (torch's own signature)
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Run the operator, or those it consists of, and count."""
        kwargs = kwargs or {}
        if isinstance(func, HigherOrderOperator):
            return self._run_functions(func, args, kwargs)
        with self:
            outputs = func.decompose(*args, **kwargs)
        if outputs is not NotImplemented:
            return outputs
        outputs = func(*args, **kwargs)
        self._measure(outputs, args, kwargs)
        # the registry supports attention only on other devices
        if func.overloadpacket is ops.aten._scaled_dot_product_flash_attention_for_cpu:
            self.flops += sdpa_flop_count(*(each.shape for each in args[:3]))  # type: ignore[no-untyped-call]
        elif func.overloadpacket in flop_registry:
            self.flops += flop_registry[func.overloadpacket](*args, **kwargs, out_val=outputs)
        return outputs

    def _run_functions(
        self,
        func: HigherOrderOperator,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:  # noqa: ANN401 (whatever the functions return)
        """Run an operator that calls functions, of which only a branch can be watched."""
        if func is ops.higher_order.cond:
            predicate, if_true, if_false, operands = args
            with self:
                return (if_true if predicate else if_false)(*operands)
        self.complete = False
        return func(*args, **kwargs)

    def _measure(self, outputs: object, *inputs: object) -> None:
        taken = {each.untyped_storage().data_ptr() for each in _tensors(inputs)}
        for each in _tensors(outputs):
            # a view, perhaps of a weight, is not an allocation
            if each.untyped_storage().data_ptr() not in taken:
                self.largest_tensor = max(self.largest_tensor, each.nbytes)


def _tensors(values: object) -> list[Tensor]:
    return [each for each in tree_leaves(values) if isinstance(each, Tensor)]
