"""XGBoost classifiers asked for their label and their probabilities at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_infer.models.accelerate import together
from spark_infer.models.accelerate.accelerated import Fast
from spark_infer.models.accelerate.together import predicting, shares

if TYPE_CHECKING:
    from spark_infer.models.backends.native.xgboost import XgboostModel
    from spark_infer.models.backends.spec import LoadSpec

DISTRIBUTION = "xgboost"
CHECKED = ">=3.2,<3.3"


def find_fast(model: XgboostModel, spec: LoadSpec) -> Fast | None:
    """Return a faster way to the answers of an estimator of several methods."""
    if not shares(model.estimator, spec.methods):
        return None
    return Fast(how=together.HOW, predict=predicting(model.estimator, model.given, spec))
