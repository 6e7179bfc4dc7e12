"""`spark-infer models inspect`: what a model is and what would serve it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spark_infer.cli.options import EXIT_CODES, AsJson, LogFile, Traceback
from spark_infer.cli.output import Output
from spark_infer.printable import printable_lines

if TYPE_CHECKING:
    from spark_infer.core.signature import Column, Signature, Tensor
    from spark_infer.models.ref import ModelRef

Uri = Annotated[str, typer.Argument(metavar="URI", help="models:/name@alias, models:/name/3, runs:/… or a folder.")]
TrackingUri = Annotated[
    str | None,
    typer.Option("--tracking-uri", metavar="URI", help="MLflow tracking server or store.", show_default=False),
]
RegistryUri = Annotated[
    str | None,
    typer.Option("--registry-uri", metavar="URI", help="MLflow registry, where it is another one.", show_default=False),
]


def inspect(
    uri: Uri,
    tracking_uri: TrackingUri = None,
    registry_uri: RegistryUri = None,
    as_json: AsJson = False,
    log_file: LogFile = None,
    show_traceback: Traceback = False,
) -> None:
    """Show what a model is: version, digest, size, flavors, signature, and which backend would serve it."""
    output = Output(as_json=as_json, show_traceback=show_traceback)
    with output.exit_code():
        from spark_infer.cli.logfile import open_log

        output.log_file = open_log(log_file, name="models-inspect", environ=os.environ, hide=output.hide)

        from spark_infer.models.files.store import ModelStore, default_root
        from spark_infer.models.registry.resolve import resolve

        store = ModelStore(default_root(os.environ))
        ref = resolve(uri, tracking_uri=tracking_uri, registry_uri=registry_uri, store=store)
        facts = describe(ref, store.path(ref.digest))
        output.result(printable_lines(_lines(ref, facts)), facts)


def describe(ref: ModelRef, folder: Path) -> dict[str, object]:
    """Return what there is to know about a model, whose files are in ``folder``, as values that JSON can hold."""
    from spark_infer.config import ScoreOptions
    from spark_infer.errors import ModelRefusedError
    from spark_infer.models.backends.choose_backend import choose

    backend: str | None
    try:
        choice = choose(ref.mlmodel, ScoreOptions(), folder)
        backend, reason = choice.backend, choice.reason
    except ModelRefusedError as error:
        backend, reason = None, error.what
    return {
        "uri": ref.uri,
        "name": ref.name,
        "version": ref.version,
        "source": ref.source,
        "digest": ref.digest,
        "size_bytes": ref.size_bytes,
        "flavors": list(ref.flavors),
        "mlflow_version": ref.mlmodel.mlflow_version,
        "run_id": ref.mlmodel.run_id,
        "signature": _signature(ref.mlmodel.signature),
        "backend": backend,
        "backend_reason": reason,
    }


def _signature(signature: Signature | None) -> dict[str, list[dict[str, object]]] | None:
    if signature is None:
        return None
    return {
        "inputs": [_column(column) for column in signature.inputs],
        "outputs": [_column(column) for column in signature.outputs or ()],
        "params": [{"name": param.name, "type": param.type, "default": param.default} for param in signature.params],
    }


def _column(column: Column | Tensor) -> dict[str, object]:
    from spark_infer.core.signature import ANY, Column, spelled

    if isinstance(column, Column):
        kind = "any" if column.type == ANY else spelled(column.type)
        return {"name": column.name, "type": kind, "required": column.required}
    return {"name": column.name, "type": f"tensor of {column.dtype} {list(column.shape)}", "required": True}


def _lines(ref: ModelRef, facts: dict[str, object]) -> Iterator[str]:
    from spark_infer.observe.wording import size

    backend = facts["backend"] or "none"
    yield str(ref)
    yield ""
    for label, text in (
        ("uri", ref.uri),
        ("source", ref.source),
        ("digest", ref.digest),
        ("size", size(ref.size_bytes)),
        ("flavors", ", ".join(ref.flavors)),
        ("mlflow", ref.mlmodel.mlflow_version or "unknown"),
        ("run", ref.mlmodel.run_id or "none"),
        ("backend", f"{backend}: {facts['backend_reason']}"),
    ):
        yield f"  {label:<9}{text}"
    signature = _signature(ref.mlmodel.signature)
    if signature is None:
        yield ""
        yield "no signature"
        yield "  Name the columns to feed it with score.inputs, and its outputs with score.result_type."
        return
    for title, rows in signature.items():
        if rows:
            yield ""
            yield title
            yield from _table(rows)


def _table(rows: Sequence[dict[str, object]]) -> Iterator[str]:
    heads = list(rows[0])
    cells = [heads, *([_cell(row[head]) for head in heads] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    for line in cells:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


HELP = f"""\
Show what a model is: exact version, digest, size, flavors, signature, and which backend would serve it.

Nothing of the model is imported or run.

\b
Examples:
  spark-infer models inspect models:/flight_delay@champion --tracking-uri sqlite:///demo/mlflow.db
  spark-infer models inspect ./my_model --json

{EXIT_CODES}
"""
