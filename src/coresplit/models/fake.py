"""A model that is a latency formula, to try and test coresplit without the real machine.

``fake:2ms + 8ms*b/t`` takes this time for a batch b on t threads; ``fake:...@16`` has 16 cores.
Optimizations may differ: ``fake:none=8ms*b/t; script=6ms*b/t; 10ms*b/t``, the last for all others.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping

import msgspec

from coresplit.errors import UsageError

PREFIX = "fake"
DEFAULT_FORMULA = "none=1ms + 8ms*b/t; script=1ms + 6ms*b/t; 1ms + 7ms*b/t"
DEFAULT_CORES = 4
MOST_CORES = 256
_LONGEST = 500
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s)\b")
_NAMED = re.compile(r"\s*([a-z][a-z0-9_]*)\s*=")
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "sqrt": math.sqrt,
    "log2": math.log2,
}
_FEWEST_THREADS = 16
_BATCHES = sorted({*range(1, 65), *(2**power for power in range(21))})


class FakeModel(msgspec.Struct, frozen=True, kw_only=True):
    """Formulas by optimization, the one for all others under an empty name; number of cores.

    The formulas are expressions over ``b`` and ``t`` that give seconds.
    """

    formulas: Mapping[str, str]
    cores: int = DEFAULT_CORES

    def latency(self, optimization: str, threads: int, batch: int) -> float:
        """Latency of a forward in seconds."""
        formula = self.formulas.get(optimization, self.formulas.get("", ""))
        return _value(ast.parse(formula, mode="eval").body, {"t": threads, "b": batch})


def is_fake(name: str) -> bool:
    """True if the name of a model means a formula."""
    return name == PREFIX or name.startswith(f"{PREFIX}:")


def parse_fake(name: str) -> FakeModel:
    """Parse ``fake:FORMULA@CORES``; raises UsageError for an invalid one.

    A formula may use arithmetic, min, max, sqrt and log2 of b, t and durations, and must give a
    positive duration for every optimization, batch and number of threads. It is not run as code.
    """
    text, at, cores = name.removeprefix(PREFIX).removeprefix(":").rpartition("@")
    text, cores = (text, cores) if at else (cores, str(DEFAULT_CORES))
    text = text.strip() or DEFAULT_FORMULA
    if len(text) > _LONGEST:
        raise UsageError(f"the formula has {len(text)} characters; give at most {_LONGEST}")
    digits = cores.strip()
    if not (digits.isdecimal() and len(digits) <= 3 and 1 <= int(digits) <= MOST_CORES):
        raise UsageError(
            f"'{cores[:20]}' is not a number of cores; give 1 to {MOST_CORES} after the @"
        )
    formulas: dict[str, str] = {}
    for part in text.split(";"):
        named = _NAMED.match(part)
        formula = part[named.end() :] if named else part
        formulas[named[1] if named else ""] = _checked(formula.strip(), int(digits))
    last = next(reversed(formulas.values()))
    return FakeModel(formulas={**formulas, "": formulas.get("", last)}, cores=int(digits))


def _checked(formula: str, cores: int) -> str:
    """Return the formula with durations in seconds, after trying common threads and batches."""
    plain = _NUMBER.sub(lambda found: repr(float(found[1]) * _UNITS[found[2]]), formula)
    try:
        tree = ast.parse(plain, mode="eval").body
        found = [
            _value(tree, {"t": threads, "b": batch})
            for threads in range(1, max(cores, _FEWEST_THREADS) + 1)
            for batch in _BATCHES
        ]
    except (SyntaxError, ValueError, ArithmeticError, TypeError, RecursionError, MemoryError):
        found = []
    if not found or not all(math.isfinite(each) and each > 0 for each in found):
        raise UsageError(
            f"'{formula}' is not a positive duration for all threads t and batches b; "
            "write for example 1ms + 8ms*b/t"
        )
    return plain


def _value(node: ast.expr, variables: Mapping[str, float]) -> float:
    """Evaluate the few kinds of nodes that a formula may have; raises ValueError for others."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name) if name in variables:
            return variables[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, variables), _value(right, variables))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, variables)
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as values, keywords=[]) if (
            name in _FUNCTIONS
        ):
            return float(_FUNCTIONS[name](*(_value(each, variables) for each in values)))
        case _:
            raise ValueError("not part of a formula")
