"""Which models may run here: decided from their origin, their digest and their files, before any of their code runs."""

from __future__ import annotations

from pathlib import Path

from spark_infer.config import ScoreOptions
from spark_infer.errors import ModelRefusedError
from spark_infer.models.ref import ModelRef
from spark_infer.models.registry.uri import VersionUri, parse_uri
from spark_infer.models.trust.pickle_scan import dangers_in
from spark_infer.models.trust.pickles import pickles_in

_SHOWN = 5


def require_trusted(ref: ModelRef, options: ScoreOptions, folder: Path) -> None:
    """Refuse a model that the policy of these options does not allow; imports and unpickles nothing.

    Args:
        ref: The pinned model; the digest is that of the files.
        options: ``trust``, ``digests``, ``refuse_pickle`` and ``scan_pickle``.
        folder: The model's verified files on this node.

    Raises:
        ModelRefusedError: The model is not from the registry, its digest is not listed, or it holds pickles, or those
            that are dangerous.
        EnvironmentProblem: ``scan_pickle`` is set, and picklescan is not installed.
    """
    if options.trust == "registry" and not isinstance(parse_uri(ref.uri), VersionUri):
        raise ModelRefusedError(
            f"Model {ref} does not come from a model registry: it is {ref.uri}.",
            details=["trust: registry allows registered versions only, such as models:/name/3 or models:/name@alias"],
            next_step="register the model and name it by its version or alias.",
        )
    if options.trust == "digests" and ref.digest not in options.digests:
        raise ModelRefusedError(
            f"The digest of model {ref} is not among the {len(options.digests)} that are allowed.",
            details=[f"its files have the digest {ref.digest}", "trust: digests allows models by this digest only"],
            next_step="review these files, and add the digest to `digests` to allow exactly them; "
            "`spark-infer models inspect` shows it and runs none of the model's code.",
        )
    if ref.mlmodel.code is not None:
        return  # its pickle, if there is one, was made by this process of what its caller passed
    if options.refuse_pickle and (found := pickles_in(folder)):
        raise ModelRefusedError(
            f"Model {ref} holds {len(found)} pickle{'s' if len(found) > 1 else ''}, and refuse_pickle is set: "
            "unpickling a file runs what its author wrote into it.",
            details=_first(found),
            next_step="log the model again without pickle (skops for scikit-learn, a PythonModel from a file of code, "
            "ONNX, XGBoost's and LightGBM's own formats), allow these files alone with trust: digests, or take "
            "refuse_pickle out.",
        )
    if options.scan_pickle and (found := dangers_in(folder)):
        raise ModelRefusedError(
            f"Model {ref} has pickles that call what a model has no need of, or that nobody can look through, and "
            "scan_pickle is set.",
            details=_first(found),
            next_step="see where the model comes from, and do not load it before; if it is harmless, log it again "
            "without pickle (skops, a PythonModel from a file of code, a framework's own format), or take scan_pickle "
            "out and allow these files alone with trust: digests.",
        )


def _first(found: list[str]) -> list[str]:
    more = len(found) - _SHOWN
    return [*found[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
