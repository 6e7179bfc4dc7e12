from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from spark_infer.config import (
    FunctionStep,
    JobConfig,
    LabelMapStep,
    ModelConfig,
    ScoreOptions,
    SourceConfig,
    TargetConfig,
    ThresholdStep,
)
from spark_infer.config.params import shown_params
from spark_infer.config.validate_options import validated
from spark_infer.errors import ConfigError

THRESHOLD = ThresholdStep(column="p", at=0.5, output="hot")
LABELS = LabelMapStep(column="y", labels={"0": "no"})


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ([{"kind": "threshold", "column": "p", "at": 0.5, "output": "hot"}], (THRESHOLD,)),
        ([{"threshold": {"column": "p", "at": 0.5, "output": "hot"}}], (THRESHOLD,)),
        ({"threshold": {"column": "p", "at": 0.5, "output": "hot"}}, (THRESHOLD,)),
        (["m:f", {"label_map": {"column": "y", "labels": {"0": "no"}}}], (FunctionStep(function="m:f"), LABELS)),
        ("m:f", (FunctionStep(function="m:f"),)),
        ([THRESHOLD], (THRESHOLD,)),
        ((), ()),
    ],
)
def test_a_step_may_be_written_short_or_long(given: Any, made: tuple[object, ...]) -> None:
    assert ScoreOptions(postprocess=given).postprocess == made


def test_a_single_partition_value_stands_for_a_list_of_one() -> None:
    assert SourceConfig(path="a", partition_filter={"month": 12}).partition_filter == {"month": (12,)}
    target = TargetConfig(path="a", mode="overwrite_partitions", partitions={"month": [1, None]}, partition_by="month")
    assert target.partitions == {"month": (1, None)}
    assert target.partition_by == ("month",)


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (datetime.date(2024, 1, 31), ("2024-01-31",)),
        ([datetime.date(2024, 1, 31), None], ("2024-01-31", None)),
        (datetime.datetime(2024, 1, 31), ("2024-01-31",)),
        (datetime.datetime(2024, 1, 31, 5), ("2024-01-31 05:00:00",)),
        (pd.Timestamp("2024-01-31"), ("2024-01-31",)),
        (pd.Series(pd.to_datetime(["2024-01-31"])), ("2024-01-31",)),
        (np.datetime64("2024-01-31"), ("2024-01-31",)),
        (np.array(["2024-01-31"], dtype="datetime64[ns]"), ("2024-01-31",)),
        (Decimal("1.50"), ("1.50",)),
        (Decimal("1E+3"), ("1000",)),
        (np.bool_(True), (True,)),
        (np.int64(3), (3,)),
        (np.array([1, 2]), (1, 2)),
        (np.str_("a"), ("a",)),
        (range(1, 3), (1, 2)),
        (["a", 1, True, None], ("a", 1, True, None)),
    ],
)
def test_partition_values_of_python_and_numpy_are_plain_ones(given: Any, plain: tuple[Any, ...]) -> None:
    source = SourceConfig.model_validate({"path": "a", "partition_filter": {"day": given}})
    target = TargetConfig.model_validate({"path": "a", "mode": "overwrite_partitions", "partitions": {"day": given}})
    for found in (source.partition_filter["day"], target.partitions["day"]):
        assert list(map(repr, found)) == list(map(repr, plain))


def test_parameters_are_shown_as_json_has_them_and_secrets_by_their_names_alone() -> None:
    given = {
        "asof": datetime.date(2024, 1, 31),
        "max_tokens": 7,
        "names": ["a", None],
        "raw": b"x",
        "nested": {"API_KEY": "k", "depth": 1},
        "token": "t",
        "hf_token": "t",
        "aws_secret_access_key": "s",
        "Password": "p",
    }
    assert shown_params(given) == {
        "asof": "2024-01-31",
        "max_tokens": 7,
        "names": ["a", None],
        "raw": "b'x'",
        "nested": {"API_KEY": "***", "depth": 1},
        "token": "***",
        "hf_token": "***",
        "aws_secret_access_key": "***",
        "Password": "***",
    }


@pytest.mark.parametrize(
    ("names", "hidden"),
    [
        ("api_key api-key APIKey apiKey apikey access-key openai_key private.key account_key_2 key ssh_keys", True),
        ("hf-token authToken x_tokens token accessToken token_secret HF_TOKEN", True),
        ("pwd auth Authorization bearer passphrase connection_string connectionString sas_url github_pat", True),
        ("dbpassword user.passwd mysecret clientSecret credentials aws_credential PGPASSWORD", True),
        ("max_tokens num_tokens max_new_tokens maxTokens eos_token eos_token_id pad_token prompt-tokens", False),
        ("id_token private_key_id client_key secret_name mySecret secrets Passwort", True),
        ("token_ids token_type_ids tokenIds customer_key product-key key_columns auth_method encompasswidth", False),
        ("secretary secretariat secretion_rate sig_level signature_name", False),
        ("sort_key primary_key partition_keys groupKey keyword monkey tokenizer author path patience passes", False),
    ],
)
def test_names_of_secrets_are_known_by_their_words(names: str, hidden: bool) -> None:
    shown = shown_params(dict.fromkeys(names.split(), "v"))
    assert {name for name, value in shown.items() if (value == "***") is not hidden} == set()


def test_options_and_jobs_are_shown_without_the_values_of_secrets() -> None:
    given = {"params": {"api_key": "hunter2", "depth": 3}, "model_config": {"db": {"pwd": "hunter2", "host": "h1"}}}
    options = ScoreOptions.model_validate(given)
    job = JobConfig.model_validate(
        {"model": {"uri": "m"}, "source": {"path": "a"}, "target": {"path": "b"}, "score": given}
    )
    for shown in (repr(options), str(options), repr(job), str(job)):
        assert "hunter2" not in shown
        assert "'depth': 3" in shown
        assert "'host': 'h1'" in shown
    assert options.params["api_key"] == "hunter2"


@pytest.mark.parametrize("given", [1.5, [1.5], [[1]], {"a": 1}, b"x", pd.NaT, object(), {1}])
def test_a_value_that_names_no_table_partition_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="1 of the options given") as refused:
        validated(SourceConfig, {"path": "a", "partition_filter": {"day": given}})
    assert len(refused.value.details) == 1


def test_an_unknown_step_is_refused_with_the_nearest() -> None:
    for step in ({"kind": "treshold"}, {"treshold": {"column": "p"}}):
        with pytest.raises(ValidationError, match="did you mean 'threshold'"):
            ScoreOptions.model_validate({"postprocess": [step]})


def test_values_of_a_label_map_may_be_numbers_and_booleans() -> None:
    assert LabelMapStep.model_validate({"column": "y", "labels": {0: "no", True: "yes"}}).labels == {
        "0": "no",
        "true": "yes",
    }


def test_no_inputs_at_all_are_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        ScoreOptions.model_validate({"inputs": []})


def test_one_name_stands_for_a_list_of_one() -> None:
    options = ScoreOptions.model_validate({"inputs": "x", "predict_method": "predict", "allow_casts": "long->double"})
    assert (options.inputs, options.predict_method, options.allow_casts) == (("x",), ("predict",), ("long->double",))


def test_a_path_may_be_one_of_pathlib() -> None:
    assert ModelConfig.model_validate({"uri": Path("models/m")}).uri == "models/m"
    assert SourceConfig.model_validate({"path": Path("in")}).name == "in"
    assert TargetConfig.model_validate({"path": Path("out")}).name == "out"
    assert ScoreOptions.model_validate({"model_files": Path("/mnt/models")}).model_files == "/mnt/models"


@pytest.mark.parametrize("place", ["auto", "/mnt/models", "file:///mnt/models", "s3://bucket/models?region=eu-west-1"])
def test_model_files_are_somewhere_that_means_the_same_on_every_node(place: str) -> None:
    assert ScoreOptions(model_files=place).model_files == place


@pytest.mark.parametrize("place", ["", "models", "./models", "~/models", "bucket:models"])
def test_a_relative_place_of_model_files_is_refused(place: str) -> None:
    with pytest.raises(ValidationError, match="a folder by its full path, or a URI"):
        ScoreOptions(model_files=place)


@pytest.mark.parametrize(
    "place", ["s3://me:hunter2@bucket/m", "s3://bucket/m?secret_key=hunter2", "abfss://c@a.net/m?account_key=hunter2"]
)
def test_a_secret_in_the_place_of_model_files_is_refused_and_not_repeated(place: str) -> None:
    with pytest.raises(ValidationError, match="holds a secret") as caught:
        ScoreOptions(model_files=place)
    assert "hunter2" not in str(caught.value)
