"""What the backends of models of texts give to `compile`: a module from tokens to answers, and the tokeniser."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spark_infer.errors import ModelRefusedError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Exportable:
    """A model of texts, without its tokeniser and with it.

    Attributes:
        module: Takes `inputs`, matrices of (rows, tokens), and returns one matrix of (rows, numbers).
        tokenizer: The tokeniser of transformers.
        inputs: Names of what the module takes, in order.
        prompt: What goes before each text.
        labels: The label of each number that it returns; None for embeddings.
    """

    module: torch.nn.Module
    tokenizer: Any
    inputs: tuple[str, ...]
    prompt: str = ""
    labels: tuple[str, ...] | None = None


def not_exportable(why: str) -> ModelRefusedError:
    """Return the error for a model that cannot be exported."""
    return ModelRefusedError(
        f"The model cannot be compiled: {why}.", next_step="leave `compile` out: the model's own library serves it."
    )


def embedding_graph(
    model: torch.nn.Module, same: Mapping[str, Any], tokens: Sequence[str], *, truncate: int | None, normalize: bool
) -> torch.nn.Module:
    """Return a module from tokens and their mask to embeddings.

    Args:
        model: A model of sentence-transformers.
        same: Further features, the same for all texts.
        tokens: Names of the features that are tokens; the mask comes after them.
        truncate: How many elements are kept; None for all.
        normalize: Whether embeddings are given the length 1.
    """
    import torch

    def embed(*inputs: torch.Tensor) -> torch.Tensor:
        features = {**same, **dict(zip((*tokens, "attention_mask"), inputs, strict=True))}
        found: torch.Tensor = model(features)["sentence_embedding"][:, :truncate]
        return torch.nn.functional.normalize(found, p=2, dim=1) if normalize else found

    return _module(model, embed)


def class_graph(model: torch.nn.Module, inputs: Sequence[str], function: str) -> torch.nn.Module:
    """Return a module from tokens and their mask to scores.

    Args:
        model: A classifier of transformers.
        inputs: Names of what it is given.
        function: ``sigmoid``, ``softmax`` or ``none``.
    """

    def classify(*given: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = model(**dict(zip(inputs, given, strict=True))).logits.float()
        if function == "softmax":
            return logits.softmax(dim=-1)
        return logits.sigmoid() if function == "sigmoid" else logits

    return _module(model, classify)


def _module(model: torch.nn.Module, compute: Callable[..., torch.Tensor]) -> torch.nn.Module:
    import torch

    class Graph(torch.nn.Module):
        """A model, and what is computed with it."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            """Compute."""
            return compute(*inputs)

    return Graph().eval()
