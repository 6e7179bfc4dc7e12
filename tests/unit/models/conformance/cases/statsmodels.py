"""statsmodels, which MLflow's own pyfunc serves."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import statsmodels.api as sm
from mlflow.models import infer_signature

from tests.unit.models.conformance.case import Case


def saved(folder: Path, *, family: Any) -> Any:
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"constant": np.ones(40), "x": rng.normal(size=40), "z": rng.normal(size=40)})
    counts = rng.poisson(np.exp(0.3 + 0.5 * rows["x"]))
    model = (sm.OLS(counts, rows) if family is None else sm.GLM(counts, rows, family=family)).fit()
    signature = infer_signature(rows, model.predict(rows))
    mlflow.statsmodels.save_model(model, folder, signature=signature, pip_requirements=["statsmodels"])
    return rows


def _case(name: str, family: Any) -> Case:
    reason = "no native backend for flavor statsmodels"
    return Case(name=name, save=partial(saved, family=family), backend="pyfunc", because=reason)


CASES = [_case("least squares", None), _case("Poisson regression", sm.families.Poisson())]
