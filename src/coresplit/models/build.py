"""Build the model that a spec describes. torch is imported on the first build, not before."""

from coresplit.errors import EnvironmentFault
from coresplit.models.built import BuiltModel, Keep, until_exit
from coresplit.models.sources import source_of, usable
from coresplit.models.spec import ModelSpec, validate


def build(spec: ModelSpec, keep: Keep = until_exit) -> BuiltModel:
    """Build the network and its weights; takes 0.1 to 2 s on one thread without a checkpoint.

    A user's model is loaded and tried on a few inputs; files made from it go to ``keep``.
    Raises ``UsageError`` for a spec, model or checkpoint that cannot be used and
    ``EnvironmentFault`` if torch or another library is missing or broken.
    """
    validate(spec)
    if (reason := usable(spec.name)) is not None:
        raise EnvironmentFault(reason)
    if source_of(spec.name).kind == "builtin":
        from coresplit.models.zoo.build import build_builtin  # noqa: PLC0415

        return build_builtin(spec)
    from coresplit.models.user.build import build_user_model  # noqa: PLC0415

    return build_user_model(spec, keep)
