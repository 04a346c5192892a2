"""Answers of the endpoints that carry no tensors."""

from collections.abc import Callable

import msgspec

import coresplit
from coresplit.serving.metrics import Metrics
from coresplit.serving.protocol import (
    Batching,
    Group,
    Signature,
    live,
    model_config,
    model_metadata,
    model_ready,
    model_statistics,
    ready,
    repository_index,
    server_metadata,
    wants_ready_only,
    write_json,
)

METRICS = "/metrics"
Said = tuple[int, dict[str, str], list[bytes | memoryview]]


class State(msgspec.Struct, frozen=True):
    """The served model and its current state; ``instances`` counts also those not ready now."""

    signature: Signature
    instances: int
    is_ready: bool
    metrics: Metrics

    def answer(self, endpoint: str, body: memoryview) -> Said:
        """Return status, headers and body; raises Refusal for an invalid body."""
        if endpoint == METRICS:
            plain = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
            return 200, plain, [self.metrics.text()]
        signature, is_ready = self.signature, self.is_ready
        answers: dict[str, Callable[[], object]] = {
            "live": live,
            "ready": lambda: ready(is_ready),
            "model_ready": lambda: model_ready(signature, is_ready),
            "server_metadata": lambda: server_metadata(coresplit.__version__),
            "model_metadata": lambda: model_metadata(signature),
            "config": self._config,
            "stats": lambda: model_statistics(signature, self.metrics.counters),
            "repository_index": lambda: repository_index(
                signature, is_ready, wants_ready_only(body)
            ),
        }
        unready = endpoint in ("ready", "model_ready") and not is_ready
        return (503 if unready else 200, *write_json(answers[endpoint]()))

    def _config(self) -> object:
        group = Group(name=self.signature.model, count=self.instances)
        return model_config(self.signature, (group,), Batching())
