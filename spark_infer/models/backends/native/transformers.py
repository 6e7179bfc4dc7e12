"""Pipelines of transformers without MLflow and pandas in the worker, by the library's own tokenisers and models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from spark_infer.core.buckets import PreparedRows
from spark_infer.core.outputs import Predictions
from spark_infer.errors import ModelLoadError
from spark_infer.models.backends.exportable import Exportable, class_graph, not_exportable
from spark_infer.models.backends.pipeline_fit import left_to_pyfunc
from spark_infer.models.backends.pipeline_tasks import Config, Task, for_pipeline, task_of
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.backends.token_rows import pack, unpack
from spark_infer.models.backends.torch_device import prepare_torch

if TYPE_CHECKING:
    from spark_infer.config import ScoreOptions
    from spark_infer.models.mlmodel import MLModel

TAKES_PARAMS = True

_TOKENS_ON_CPU, _TOKENS_ON_GPU = 4_096, 131_072
_ROWS = 32
"""Rows that a pipeline is asked for at a time where it does not take tokens."""

Padding = Literal["any", "alike", "none"]
_BATCHES: Mapping[Padding, str] = {
    "any": "batches padded to their own longest row",
    "alike": "batches of rows of one length, since it cannot pad them on the right and hide that",
    "none": "one row at a time, since it has no token to pad with",
}


def unfit(mlmodel: MLModel, options: ScoreOptions, folder: Path) -> str | None:
    """Say why pyfunc must serve a model.

    No code of the model runs here, nor in `load`: a model that brings some is left to its pyfunc, which trusts it.
    """
    if options.predict_method not in (None, ("predict",)):
        return "a pipeline has the method 'predict' alone"
    return left_to_pyfunc(mlmodel.flavors["transformers"], folder)


def declared_outputs(mlmodel: MLModel, _params: Mapping[str, Any]) -> pa.Schema | None:
    """Return what the pipeline returns for a row, where no signature of MLflow can say it."""
    task = task_of(mlmodel.flavors["transformers"])
    return None if task is None or task.declarable else task.columns


def load(spec: LoadSpec, folder: Path) -> TransformersModel:
    """Load a pipeline from the model's own files; nothing asks a model hub.

    Raises:
        ModelLoadError: The installed transformers lacks one of its classes.
        DeviceError: A GPU was asked for, and torch does not see it.
    """
    device = prepare_torch(spec)
    flavor = spec.mlmodel.flavors["transformers"]
    task = task_of(flavor)
    assert task is not None
    pipeline, config = _pipeline(folder, flavor, task, device, spec.dtype), _configuration(spec)
    # With a stride, a text may be several sequences of tokens.
    kind = TokenModel if task.tokens and "stride" not in config else TransformersModel
    return kind(pipeline, task, config, device, spec.mlmodel.metadata.get("prompt_template"))


def _configuration(spec: LoadSpec) -> Config:
    """What MLflow hands to the pipeline: parameters over the job's configuration over the one it was logged with."""
    signature = spec.mlmodel.signature
    params = () if signature is None else signature.params
    given = {param.name: _converted(spec.params.get(param.name, param.default), param.type) for param in params}
    logged = (spec.mlmodel.pyfunc or {}).get("config") or {}
    return {**logged, **spec.config, **given}


def _converted(value: Any, kind: str) -> Any:
    return float(value) if kind in ("float", "double") and isinstance(value, int) else value


def _pipeline(folder: Path, flavor: Mapping[str, Any], task: Task, device: str, dtype: str) -> Any:
    import transformers

    dtype = dtype or str(flavor.get("torch_dtype") or "").removeprefix("torch.")
    model = _part(flavor["pipeline_model_type"]).from_pretrained(
        folder / flavor["model_binary"], local_files_only=True, **_dtype(dtype)
    )
    components = {
        name: _part(flavor[f"{name}_type"]).from_pretrained(folder / "components" / name, local_files_only=True)
        for name in flavor.get("components") or []
    }
    kind = _in_steps(_part(task.pipeline)) if task.tokens else None
    return transformers.pipeline(flavor["task"], model=model, device=device, pipeline_class=kind, **components)


def _part(name: str) -> Any:
    import transformers

    found = getattr(transformers, name, None)
    if found is None:
        raise ModelLoadError(
            f"transformers {transformers.__version__} has no {name}.",
            next_step="install the version that the model's requirements.txt names, or use backend='pyfunc' for a "
            "model with code of its own.",
        )
    return found


def _dtype(name: str) -> dict[str, Any]:
    import torch
    from transformers.utils.versions import require_version

    if not name:
        return {}
    try:
        require_version("transformers>=4.56")
    except ImportError:
        return {"torch_dtype": getattr(torch, name)}
    return {"dtype": getattr(torch, name)}


@dataclass(frozen=True)
class _Steps:
    """Keyword arguments of a pipeline's steps."""

    preprocess: Config
    forward: Config
    postprocess: Config


def _in_steps(pipeline: Any) -> Any:
    """Return a class of pipelines that also says what its steps are given, so that they can be taken one by one."""

    class InSteps(pipeline):  # type: ignore[misc]  # a class of transformers, which mypy does not see
        def steps(self, config: Config) -> _Steps:
            # What subclasses of Pipeline are made of: https://huggingface.co/docs/transformers/add_new_pipeline
            return _Steps(*self._sanitize_parameters(**config))

    return InSteps


class TransformersModel:
    """A pipeline that is asked for a batch of rows at a time."""

    def __init__(self, pipeline: Any, task: Task, config: Config, device: str, template: str | None) -> None:
        self._pipeline = pipeline
        self._task = task
        self._config = {**config, **task.forced}
        self._device = device
        self._template = template
        self.by_row = task.by_row
        self.batch_rows: int | None = _ROWS

    @property
    def how(self) -> str:
        """How batches reach the pipeline, for the plan."""
        return f"{self._task.pipeline} of transformers, no pandas"

    def outputs(self) -> pa.Schema | None:
        """Columns of the pipeline's task."""
        return self._task.columns

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Ask the pipeline for all rows."""
        assert self._pipeline is not None
        answers = self._task.ask(self._pipeline, self._given(inputs), for_pipeline(self._config))
        return self._task.read(answers, self._config)

    def _given(self, inputs: pa.RecordBatch) -> list[Any]:
        rows = self._task.given(inputs)
        return rows if self._template is None else [self._template.format(prompt=row) for row in rows]

    def close(self) -> None:
        """Let go of the pipeline, and of its memory on the device."""
        import torch

        self._pipeline = None
        if self._device != "cpu":
            torch.cuda.empty_cache()


def _padding(pipeline: Any) -> Padding:
    """Which rows can be computed together without changing their answers."""
    tokenizer, config = pipeline.tokenizer, pipeline.model.config
    if tokenizer.pad_token_id is None or getattr(config, "pad_token_id", None) is None:
        return "none"
    hidden = tokenizer.padding_side == "right" and "attention_mask" in tokenizer.model_input_names
    return "any" if hidden else "alike"


def _function(config: Any, asked: Any) -> str:
    """What a classifier's pipeline makes scores of: `TextClassificationPipeline.postprocess` decides it so."""
    if asked is not None:
        return str(asked.name).lower()
    if config.problem_type == "regression":
        return "none"
    several = config.problem_type == "multi_label_classification"
    return "sigmoid" if several or config.num_labels == 1 else "softmax"


class TokenModel(TransformersModel):
    """A pipeline whose rows are tokenised once, and computed in batches of rows of similar lengths."""

    def __init__(self, pipeline: Any, task: Task, config: Config, device: str, template: str | None) -> None:
        from transformers.pipelines.base import ChunkPipeline

        super().__init__(pipeline, task, config, device, template)
        self._steps: _Steps = pipeline.steps(for_pipeline(self._config))
        self._padding = _padding(pipeline)
        self.batch_rows = None
        self._in_chunks = isinstance(pipeline, ChunkPipeline)
        self.batch_cost = _TOKENS_ON_CPU if device == "cpu" else _TOKENS_ON_GPU

    @property
    def how(self) -> str:
        """How batches reach the pipeline, for the plan."""
        return f"{self._task.pipeline} of transformers, {_BATCHES[self._padding]}, no pandas"

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Tokenise, compute and read one batch."""
        return self.predict_prepared(self.prepare(inputs).inputs)

    def prepare(self, inputs: pa.RecordBatch) -> PreparedRows:
        """Tokenise the rows."""
        preprocess, given = self._pipeline.preprocess, self._given(inputs)
        made = (preprocess(row, **self._steps.preprocess) for row in given)
        rows = [next(each) if self._in_chunks else each for each in made]
        return PreparedRows(pack(rows), np.array([row["input_ids"].shape[1] for row in rows], np.int64))

    def predict_prepared(self, rows: pa.RecordBatch) -> Predictions:
        """Compute tokenised rows, padded to the longest of them."""
        encoded = unpack(rows)
        answers: list[Any] = [None] * len(encoded)
        for together in self._together([row["input_ids"].shape[1] for row in encoded]):
            for index, answer in zip(together, self._answers([encoded[index] for index in together]), strict=True):
                answers[index] = answer
        return self._task.read(answers, self._config)

    def exportable(self) -> Exportable:
        """Return what can be compiled of the pipeline.

        Raises:
            ModelRefusedError: It is not one that gives each text a label and a score.
        """
        pipeline, postprocess = self._pipeline, self._steps.postprocess
        if self._task.pipeline != "TextClassificationPipeline":
            raise not_exportable(
                f"of pipelines, text classification can be exported, and this is {self._task.pipeline}"
            )
        inputs = tuple(pipeline.tokenizer.model_input_names)
        lacks = {"a prompt template": self._template, "a top_k": "top_k" in postprocess}
        lacks |= {"a tokeniser that pads otherwise than on the right": self._padding != "any"}
        lacks |= {f"the inputs {list(inputs)}": not set(inputs) <= {"input_ids", "token_type_ids", "attention_mask"}}
        if has := [what for what, there in lacks.items() if there]:
            raise not_exportable(f"it has {' and '.join(has)}")
        config = pipeline.model.config
        labels = tuple(config.id2label[index] for index in range(config.num_labels))
        module = class_graph(pipeline.model, inputs, _function(config, postprocess.get("function_to_apply")))
        return Exportable(module=module, tokenizer=pipeline.tokenizer, inputs=inputs, labels=labels)

    def _together(self, lengths: Sequence[int]) -> Iterable[Sequence[int]]:
        """Which rows can be computed at once."""
        if self._padding == "any":
            return [range(len(lengths))]
        if self._padding == "none":
            return [[index] for index in range(len(lengths))]
        alike: dict[int, list[int]] = {}
        for index, length in enumerate(lengths):
            alike.setdefault(length, []).append(index)
        return alike.values()

    def _answers(self, rows: list[dict[str, Any]]) -> Iterator[Any]:
        import torch
        from transformers.pipelines.base import pad_collate_fn
        from transformers.pipelines.pt_utils import PipelineIterator

        pipeline, steps = self._pipeline, self._steps
        given = [
            {name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for name, value in row.items()}
            for row in rows
        ]
        lengths = [row["input_ids"].shape[1] for row in given]
        batch = pad_collate_fn(pipeline.tokenizer, None)(given) if len(given) > 1 else given[0]
        computed = PipelineIterator([batch], pipeline.forward, steps.forward, loader_batch_size=len(given))
        for length, output in zip(lengths, computed, strict=True):
            answer = pipeline.postprocess([output] if self._in_chunks else output, **steps.postprocess)
            # The vectors of padding are no part of a row's own.
            yield answer[:, :length] if isinstance(answer, torch.Tensor) and answer.ndim == 3 else answer
