"""Models of the Hugging Face hub, or of a folder saved by transformers."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coresplit.errors import CoresplitError, EnvironmentFault, UsageError
from coresplit.format import first_line
from coresplit.models.sources import Source
from coresplit.models.spec import ModelSpec
from coresplit.models.user.declared_inputs import Stated
from coresplit.models.user.torch_files import Loaded

_LENGTH = 128
_OFFLINE = {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectError", "ConnectTimeout"}
_ABSENT = {"RepositoryNotFoundError", "RevisionNotFoundError", "HFValidationError"}
_CLOSED = {"GatedRepoError"}


def load(spec: ModelSpec, source: Source) -> Loaded:
    """``AutoModel.from_pretrained`` with its own weights; inputs go by keyword.

    Never runs code of the repository. Raises ``EnvironmentFault`` if it cannot be fetched.
    """
    folder = Path(source.rest).expanduser()
    name = str(folder) if folder.is_dir() else source.rest
    with _quiet():
        try:
            config, module = _pretrained(name)
        except UsageError:
            raise
        except Exception as error:
            raise _refusal(spec.name, error) from error
    stated = _stated(spec, config, module)
    keywords = tuple(each.name for each in stated or ())
    return Loaded(module=module, stated=stated, keywords=keywords)


def _pretrained(name: str) -> tuple[Any, Any]:
    """The configuration and the model, from the local cache if possible, else from the hub.

    This way all instances of a run load the same model and need no network again.
    """
    try:
        return _from(name, local_files_only=True)
    except OSError:
        if Path(name).is_dir():
            raise
        return _from(name, local_files_only=False)


def _from(name: str, *, local_files_only: bool) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoModel  # noqa: PLC0415

    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": local_files_only}
    config = AutoConfig.from_pretrained(name, **options)
    if any("/" in each for each in _implementations(config)):
        raise UsageError(f"'{name}' needs code from its repository, which coresplit does not run")
    # a cache of keys and values is for generation, not for a single forward
    if hasattr(config, "use_cache"):
        config.use_cache = False
    module = AutoModel.from_pretrained(name, config=config, dtype="float32", **options)
    return config, module.eval()


def _implementations(config: Any) -> Iterator[str]:  # noqa: ANN401
    """The attention and experts implementations in the configuration and its parts.

    Kernels from a repository are code.
    """
    for each in (config, *vars(config).values()):
        for name in ("_attn_implementation", "_experts_implementation"):
            yield str(getattr(each, name, None))


def _stated(spec: ModelSpec, config: Any, module: Any) -> tuple[Stated, ...] | None:  # noqa: ANN401
    """The text and image inputs that the configuration describes; None for anything else."""
    takes = inspect.signature(module.forward).parameters
    if "input_ids" in takes and "pixel_values" in takes:
        return (*_texts(spec, config.get_text_config(), takes), *_images(spec, config, takes))
    if module.main_input_name == "input_ids":
        return _texts(spec, config, takes)
    return _images(spec, config, takes) or None


def _texts(spec: ModelSpec, config: Any, takes: Any) -> tuple[Stated, ...]:  # noqa: ANN401
    longest = getattr(config, "max_position_embeddings", None) or _LENGTH
    if spec.size is not None and hasattr(config, "max_position_embeddings") and spec.size > longest:
        raise UsageError(f"length {spec.size} is too long for {spec.name}; use 1 to {longest}")
    length = (spec.size or min(_LENGTH, longest),)
    tokens = config.vocab_size - 1
    spans = {"input_ids": (0, tokens), "attention_mask": (1, 1)}
    if getattr(config, "type_vocab_size", 0) > 1:
        spans["token_type_ids"] = (0, 0)
    if config.is_encoder_decoder:
        spans["decoder_input_ids"] = (0, tokens)
    return tuple(
        Stated(name=name, shape=("length",), dtype="int64", low=low, high=high, default=length)
        for name, (low, high) in spans.items()
        if name in takes
    )


def _images(spec: ModelSpec, config: Any, takes: Any) -> tuple[Stated, ...]:  # noqa: ANN401
    config = getattr(config, "vision_config", config)
    size: Any = spec.size or getattr(config, "image_size", None)
    channels = getattr(config, "num_channels", None)
    if "pixel_values" not in takes or channels is None or size is None:
        return ()
    height, width = (size, size) if isinstance(size, int) else size
    shape = ("channels", "height", "width")
    return (Stated(name="pixel_values", shape=shape, default=(channels, height, width)),)


def _refusal(name: str, error: BaseException) -> CoresplitError:
    kinds = {type(each).__name__ for each in _chain(error)}
    if kinds & _CLOSED:
        return UsageError(
            f"'{name}' is gated: request access on huggingface.co, then run huggingface-cli login"
        )
    if kinds & _ABSENT:
        return UsageError(f"'{name}' is not on the Hugging Face hub; check the name")
    if "trust_remote_code" in str(error):
        return UsageError(f"'{name}' needs code from its repository, which coresplit does not run")
    if kinds & _OFFLINE or "connect" in str(error):
        return EnvironmentFault(
            f"'{name}' cannot be fetched: the Hugging Face hub is unreachable and it is not in "
            "the local cache; connect, or name a folder: hf:./folder"
        )
    return UsageError(f"'{name}' cannot be loaded by transformers: {first_line(error)}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress progress bars, retry messages and notes on heads that a bare model leaves out."""
    from huggingface_hub.utils import logging as hub_logging  # noqa: PLC0415
    from transformers import utils  # noqa: PLC0415

    logging: Any = utils.logging
    level, hub_level = logging.get_verbosity(), hub_logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    hub_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        hub_logging.set_verbosity(hub_level)
        if bars:
            logging.enable_progress_bar()
