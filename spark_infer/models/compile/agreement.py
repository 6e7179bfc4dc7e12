"""How far the answers of a compiled model may differ from the original's, and how far they were seen to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from spark_infer.config import CompileOptions
from spark_infer.core.difference import Difference, cosines, differences
from spark_infer.core.signature import is_list


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far answers may differ.

    Attributes:
        bound: Largest difference of a number, relative above 1.
        cosine: Least cosine similarity of a list of floating-point numbers; None compares its numbers.
        equal_labels: Least share of rows in which labels, texts and whole numbers are equal.
    """

    bound: float = 1e-5
    cosine: float | None = None
    equal_labels: float = 1.0

    def stated(self, options: CompileOptions) -> Agreement:
        """Return what a user states, and this where none is stated."""
        return Agreement(
            bound=self.bound if options.bound is None else options.bound,
            cosine=self.cosine if options.cosine is None else options.cosine,
            equal_labels=self.equal_labels if options.equal_labels is None else options.equal_labels,
        )

    def __str__(self) -> str:
        labels = "equal labels" if self.equal_labels == 1 else f"{self.equal_labels:.4g} of the labels equal"
        cosine = "" if self.cosine is None else f", embeddings with a cosine similarity of at least {self.cosine:g}"
        return f"{labels}, and numbers within {self.bound:g} (relative above 1){cosine}"


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What two models were seen to answer.

    Attributes:
        numbers: The largest difference of a number.
        cosine: The least cosine similarity of two embeddings; its output is None where there are none.
        labels: The least share of rows whose labels are equal, with the first row where they are not; likewise.
    """

    numbers: Difference
    cosine: Difference
    labels: Difference

    def beyond(self, agreement: Agreement) -> tuple[Difference, str, str] | None:
        """Return what is beyond an agreement, words for it, and the option that allows more; None where nothing is."""
        if self.labels.size < agreement.equal_labels:
            share = "" if agreement.equal_labels == 1 else f" (equal in {self.labels.size:.2%} of the rows), first"
            return self.labels, f"is another{share}", "equal_labels"
        if self.numbers.size > agreement.bound:
            told = f"differs by {self.numbers.size:.3g}" if math.isfinite(self.numbers.size) else "is another"
            return self.numbers, told, "bound"
        if agreement.cosine is not None and self.cosine.size < agreement.cosine:
            return self.cosine, f"has a cosine similarity of {_shown(self.cosine.size)} with the original's", "cosine"
        return None

    def described(self, agreement: Agreement) -> str:
        """Say what was seen, beside what is allowed."""
        found = []
        strict = agreement.cosine is None and agreement.equal_labels == 1
        if self.labels.output is not None or strict:
            allowed = "" if agreement.equal_labels == 1 else f" (at least {agreement.equal_labels:g})"
            equal = "labels equal" if self.labels.size == 1 else f"{self.labels.size:.4g} of the labels equal"
            found.append(equal + allowed)
        if self.cosine.output is not None:
            found.append(
                f"least cosine similarity {_shown(self.cosine.size)} in {self.cosine.output!r} (at least "
                f"{agreement.cosine:g})"
            )
        if self.numbers.output is not None or strict:
            where = f" in {self.numbers.output!r}" if self.numbers.size and self.numbers.output else ""
            found.append(f"worst difference {self.numbers.size:.3g}{where} (bound {agreement.bound:g})")
        return ", ".join(found)


def compare(original: pa.RecordBatch, compiled: pa.RecordBatch, agreement: Agreement) -> Compared:
    """Compare two batches of answers, each column by what it holds.

    Raises:
        ModelRefusedError: A column is of a type that cannot be compared.
    """
    numbers, embeddings, labels = [], [], []
    for name in original.schema.names if original.num_rows else ():
        a, b = original.column(name), compiled.column(name)
        if agreement.cosine is not None and is_list(a.type) and pa.types.is_floating(a.type.value_type):
            similar = cosines(a, b)
            row = int(np.argmin(similar))
            embeddings.append(Difference(output=name, row=row, size=float(similar[row])))
            continue
        sizes = differences(original.select([name]), compiled.select([name]))
        if pa.types.is_floating(_innermost(a.type)):
            row = int(np.argmax(sizes))
            numbers.append(Difference(output=name, row=row, size=float(sizes[row])))
        else:
            labels.append(Difference(output=name, row=int(np.argmax(sizes)), size=float(np.mean(sizes == 0))))
    return Compared(
        numbers=max(numbers, key=_size, default=Difference()),
        cosine=min(embeddings, key=_size, default=Difference(size=1.0)),
        labels=min(labels, key=_size, default=Difference(size=1.0)),
    )


def _shown(cosine: float) -> str:
    """A similarity with four digits; what four digits do not tell from 1, as the distance from it."""
    return f"1 - {1 - cosine:.1g}" if 0.99995 <= cosine < 1 else f"{cosine:.4f}"


def _size(difference: Difference) -> float:
    return difference.size


def _innermost(type_: pa.DataType) -> pa.DataType:
    return _innermost(type_.value_type) if is_list(type_) else type_
