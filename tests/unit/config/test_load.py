from __future__ import annotations

import pickle
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.config import FunctionStep, JobConfig, ThresholdStep
from spark_infer.config.load import load_job
from spark_infer.config.yaml_nodes import MAX_FILE_BYTES
from spark_infer.errors import ConfigError

SMALLEST = "model: models:/churn@champion\nsource: data/in\ntarget: data/out\n"
FULL = "model: {uri: m}\nsource: {path: a}\ntarget:\n  path: b\nscore:\n  batch_size: 10\n"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write_file(text: str | bytes) -> Path:
        path = tmp_path / "job.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_file


def problems_of(path: Path, overrides: tuple[str, ...] = (), environ: dict[str, str] | None = None) -> list[str]:
    """Return the lines of the error, each without the folder of the file."""
    with pytest.raises(ConfigError) as caught:
        load_job(path, overrides, environ=environ or {})
    lines = caught.value.details or (caught.value.what,)
    return [line.replace(f"{path.parent}/", "") for line in lines]


def test_the_smallest_job_file_needs_three_plain_values(write: Any) -> None:
    job = load_job(write(SMALLEST))
    assert (job.model.uri, job.source.path, job.target.path) == ("models:/churn@champion", "data/in", "data/out")
    assert job == JobConfig.model_validate(
        {"model": {"uri": "models:/churn@champion"}, "source": {"path": "data/in"}, "target": {"path": "data/out"}}
    )


@pytest.mark.parametrize("spelled", ["off", '"off"'])
def test_off_is_a_word_and_not_false(write: Any, spelled: str) -> None:
    assert load_job(write(f"{SMALLEST}score: {{accelerate: {spelled}}}\n")).score.accelerate == "off"
    assert load_job(write(SMALLEST), [f"score.accelerate={spelled}"]).score.accelerate == "off"


def test_every_problem_is_in_one_error_each_with_its_line(write: Any) -> None:
    text = (
        "modle:\n  uri: m\n  traking_uri: x\nbatch_size: 10\n"
        "source:\n  path: a\n  path: b\ntarget:\n  path: b\n  mode: apend\nscore:\n  batch_size: many\n"
    )
    assert problems_of(write(text)) == [
        "job.yaml:1: unknown key 'modle' (did you mean 'model'?)",
        "job.yaml:3: unknown key 'traking_uri' in model (did you mean 'tracking_uri'?)",
        "job.yaml:4: unknown key 'batch_size' (it goes under 'score')",
        "job.yaml:7: source: duplicate key 'path', first at line 6",
        "job.yaml:10: target.mode: expected one of error_if_exists, append, overwrite_partitions, overwrite, merge, "
        "got 'apend' (did you mean 'append'?)",
        "job.yaml:12: score.batch_size: expected a whole number, 1 or more, or auto, got 'many'",
    ]


def test_the_error_counts_the_problems_and_says_what_to_do(write: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        load_job(write("model: m\nsorce: a\ntarget: {pth: b}\n"))
    assert re.search(r"job\.yaml: 2 problems$", caught.value.what)
    assert "python -m spark_infer.config.reference" in caught.value.next_step


@pytest.mark.parametrize(
    ("addition", "problem"),
    [
        ("spark: local", "spark: expected a mapping of keys, got 'local'"),
        ("score: [1]", "score: expected a mapping of keys, got a list"),
        ("score: {batch_size: true}", "score.batch_size: expected a whole number, 1 or more, or auto, got 'true'"),
        ("deadline_seconds: 0", "deadline_seconds: expected a number above 0, 31622400 at most, got '0'"),
        ("score: {batch_size: 0}", "score.batch_size: expected a whole number, 1 or more, or auto, got '0'"),
        ("score: {batch_size: 1.5}", "score.batch_size: expected a whole number, 1 or more, or auto, got '1.5'"),
        ("score: {max_batch_bytes: }", "score.max_batch_bytes: expected a whole number, 1 or more, got nothing"),
        ("score: {batch_size: [1]}", "score.batch_size: expected a whole number, 1 or more, or auto, got a list"),
        ("score: {batch_size: {a: 1}}", "score.batch_size: expected a whole number, 1 or more, or auto, got a mapping"),
        ("score: {preprocess: my.module}", "score.preprocess: expected `module:function`, got 'my.module'"),
        ("score: {inputs: {a: 1}}", "score.inputs: expected a list of text, got a mapping"),
        ("score: {inputs: [a, '']}", "score.inputs[1]: expected text, got empty text"),
        ("score: {params: {a: !!python/name:os.system x}}", "score.params.a: the tag"),
        ("spark: {conf: {a: [1]}}", "spark.conf.a: expected text, got a list"),
        ("spark: {conf: {a: }}", "spark.conf.a: expected text, got nothing"),
        ('spark: {master: "a\\0b"}', "spark.master: holds a NUL character"),
        ("name: a b", "name: expected letters, digits, `.`, `_` and `-`, got 'a b'"),
        ("score: {<<: {batch_size: 1}}", "score: a job file cannot merge mappings with `<<`; write the keys out"),
        ("score: {? [a] : 1}", "score: a key must be text"),
        (
            "score: {allow_casts: long-double}",
            "score.allow_casts: expected one of decimal->double, double->float, long->double, got 'long-double' "
            "(did you mean 'long->double'",
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_place_and_what_may_stand_there(write: Any, addition: str, problem: str) -> None:
    (line,) = problems_of(write(SMALLEST + addition))
    assert line.startswith(f"job.yaml:4: {problem}")


def test_a_missing_key_is_told_with_its_meaning(write: Any) -> None:
    assert problems_of(write("model: m\nsource: a\n")) == ["job.yaml:1: missing key 'target': Where the scored rows go"]
    assert problems_of(write(SMALLEST + "score:\n  postprocess:\n    - threshold: {column: p, output: q}\n")) == [
        "job.yaml:6: score.postprocess[0].threshold: missing key 'at': The smallest score that counts as true"
    ]


def test_rules_about_several_keys_are_told_beside_other_problems(write: Any) -> None:
    text = "model: m\nsource:\n  path: a\n  table: b\n  version: -1\ntarget: b\n"
    assert problems_of(write(text)) == [
        "job.yaml:3: source: give one of `path`, `table`, `files`, `view` and `query` (see also job.yaml:4)",
        "job.yaml:5: source.version: expected a whole number, 0 or more, got '-1'",
    ]


def test_a_rule_is_not_told_when_one_of_its_keys_is_wrong_in_itself(write: Any) -> None:
    text = "model: m\nsource: a\ntarget:\n  path: b\n  mode: overwrite_partition\n  partitions: {month: 1}\n"
    assert len(problems_of(write(text))) == 1


@pytest.mark.parametrize(
    ("text", "overrides", "problem"),
    [
        (
            "engine: local\nplane: spark\n",
            (),
            "job.yaml:4: engine `local` has no spark plane: {} (see also job.yaml:5)",
        ),
        (
            "plane: spark\n",
            ("engine=local",),
            "job.yaml:4: engine `local` has no spark plane: {} (see also --set engine)",
        ),
        ("spark:\n  master: a\n\n  remote: sc://b\n", (), "job.yaml:5: spark: give either {} (see also job.yaml:7)"),
        ("score:\n  batch_size: 1\n  trust: digests\n", (), "job.yaml:6: score: `trust: digests` and {} digest"),
        ("", ("target.mode=merge",), "--set target.mode: target: mode `merge` needs {}"),
    ],
)
def test_a_rule_about_two_keys_names_the_lines_of_both(
    write: Any, text: str, overrides: tuple[str, ...], problem: str
) -> None:
    (line,) = problems_of(write(SMALLEST + text), overrides)
    start, end = problem.split("{}")
    assert line.startswith(start)
    assert line.endswith(end)


def test_rules_of_all_groups_are_checked_beside_unknown_keys_and_wrong_values(write: Any) -> None:
    text = SMALLEST + "engine: local\nplane: spark\nresources:\n  tasks_per_gpu: 2\n  gpus: 1\nscore: {batch_size: x}\n"
    assert [line.partition(": ")[0] for line in problems_of(write(text))] == ["job.yaml:4", "job.yaml:8", "job.yaml:9"]


def test_rules_between_groups_are_checked_whatever_else_is_wrong(write: Any) -> None:
    text = "source: {path: a, table: b}\ntarget: {path: b, mode: merge}\nengine: local\nplane: spark\n"
    assert problems_of(write(text)) == [
        "job.yaml:1: source: give one of `path`, `table`, `files`, `view` and `query`",
        "job.yaml:1: missing key 'model': Which model",
        "job.yaml:2: target: mode `merge` needs `keys`: which columns tell rows apart?",
        "job.yaml:3: engine `local` has no spark plane: leave `plane` out, or set engine: spark (see also job.yaml:4)",
    ]


@pytest.mark.parametrize(
    ("addition", "problem"),
    [
        ("score: {postprocess: [a:b, a:b, function: c]}", "score.postprocess[2].function: expected `module:function`"),
        ("score: {postprocess: [a:b, c]}", "score.postprocess[1]: expected `module:function`, got 'c'"),
        ("score: {digests: ['%s', x], trust: digests}" % ("0" * 64), "score.digests[1]: a digest has 64 digits"),
        ("score: {allow_casts: [long->double, x]}", "score.allow_casts[1]: expected one of decimal->double"),
        ("resources: {gpu: []}", "resources.gpu: expected a whole number, 0 or more, got an empty list"),
    ],
)
def test_a_problem_with_an_item_of_a_list_names_its_index(write: Any, addition: str, problem: str) -> None:
    (line,) = problems_of(write(SMALLEST + addition))
    assert line.startswith(f"job.yaml:4: {problem}")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ("{p: {a: 1}}", ".p: expected text, a whole number, a date, true, false or null, got a mapping"),
        ("{p: [1, [2]]}", ".p[1]: expected text, a whole number, a date, true, false or null, got a list"),
        ("[p]", ": expected a mapping of names to lists of values, got a list"),
    ],
)
def test_a_wrong_partition_value_is_shown_by_its_index_and_in_words_of_yaml(
    write: Any, values: str, problem: str
) -> None:
    for group, key in (("source", "partition_filter"), ("target", "partitions")):
        other = "source: a" if group == "target" else "target: b"
        text = f"model: m\n{other}\n{group}: {{path: a, {key}: {values}}}\n"
        (line,) = problems_of(write(text))
        assert line == f"job.yaml:3: {group}.{key}{problem}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("model: m\nsource: {path: ${IN}}\ntarget: b\n", 2),
        ("model: m\nsource: a\ntarget:\n  path: b\n  keep: [a,\n    x-${IN}]\n", 6),
    ],
)
def test_a_variable_between_braces_or_brackets_must_be_in_quotes(write: Any, text: str, line: int) -> None:
    (found,) = problems_of(write(text))
    assert found == (
        f'job.yaml:{line}: not YAML: between braces or brackets, `${{NAME}}` must be in quotes: {{path: "${{NAME}}"}}'
    )


def test_a_variable_between_braces_of_an_override_must_be_in_quotes(write: Any) -> None:
    (found,) = problems_of(write(SMALLEST), ("source={path: ${IN}}",))
    assert found.startswith("--set source: not YAML: between braces or brackets, `${NAME}` must be in quotes")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("resources: {gpu: 2, tasks_per_gpu: 2}", "resources: `tasks_per_gpu` goes with `gpu: 1`"),
        ("resources: {allow_cpu_fallback: true}", "resources: `allow_cpu_fallback` goes with `gpu`"),
        ("spark: {master: a, remote: sc://b}", "spark: give either `master` or `remote`, not both"),
        ("score: {trust: digests}", "score: `trust: digests` and `digests`"),
        ("score: {digests: %s}" % ("0" * 64), "score: `trust: digests` and `digests`"),
        ("engine: local\nplane: spark", "engine `local` has no spark plane"),
        ("incremental: true", "`incremental` adds rows to a table that is there"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(write: Any, text: str, problem: str) -> None:
    (line,) = problems_of(write(SMALLEST + text))
    assert line.startswith(f"job.yaml:4: {problem}")


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("{}", "give either `path` or `table`, not both and not neither"),
        ("{path: b, mode: overwrite_partitions}", "mode `overwrite_partitions` needs `partitions`"),
        ("{path: b, partitions: {p: 1}}", "`partitions` goes with mode `overwrite_partitions` alone"),
        ("{path: b, mode: merge}", "mode `merge` needs `keys`"),
        ("{path: b, keys: id}", "`keys` goes with mode `merge` alone"),
        ("{path: b, mode: merge, keys: [id, a], keep: id}", "`keep` lacks the key a"),
        ("{path: b, location: c}", "`location` is of tables of the catalog"),
        ("{path: b, properties: {team: us}}", "`properties` is of tables of the catalog"),
        ("{table: b, properties: {owner: us}}", "`properties` names owner, which Spark keeps for itself"),
    ],
)
def test_keys_of_a_target_that_do_not_go_together_are_refused(write: Any, target: str, problem: str) -> None:
    (line,) = problems_of(write(f"model: m\nsource: a\ntarget: {target}\n"))
    assert line.startswith(f"job.yaml:3: target: {problem}")


def test_only_spark_can_merge(write: Any) -> None:
    (line,) = problems_of(write("model: m\nsource: a\ntarget: {path: b, mode: merge, keys: id}\nengine: local\n"))
    assert line.startswith("job.yaml:3: only Spark can merge: set engine: spark, or another mode (see also job.yaml:4)")


def test_a_plain_value_is_a_list_of_one(write: Any) -> None:
    job = load_job(
        write(
            "model: m\nsource: {path: a, partition_filter: {month: 10, day: 2024-01-01}}\n"
            "target: {path: b, partition_by: month, keep: id}\nscore: {predict_method: predict_proba}\n"
        )
    )
    assert job.source.partition_filter == {"month": (10,), "day": ("2024-01-01",)}
    assert (job.target.partition_by, job.target.keep) == (("month",), ("id",))
    assert job.score.predict_method == ("predict_proba",)


def test_keep_all_stays_the_word_all(write: Any) -> None:
    assert load_job(write("model: m\nsource: a\ntarget: {path: b, keep: all}\n")).target.keep == "all"
    assert load_job(write("model: m\nsource: a\ntarget: {path: b, keep: [all]}\n")).target.keep == ("all",)


def test_partition_values_keep_their_type_and_their_letters(write: Any) -> None:
    listed = "[1, '1', 010, 1.50, no, true, null, 12:30, 0x1F]"
    text = f"model: m\nsource: {{path: a, partition_filter: {{p: {listed}}}}}\ntarget: b\n"
    values = load_job(write(text)).source.partition_filter["p"]
    assert values == (1, "1", "010", "1.50", "no", True, None, "12:30", "0x1F")
    assert [type(value) for value in values[:2]] == [int, str]


@pytest.mark.parametrize(
    "group", ["source: {path: a, partition_filter: {p: }}", "target: {path: a, partitions: {p: }}"]
)
def test_nothing_is_not_the_null_partition(write: Any, group: str) -> None:
    rest = "\nsource: b\n" if group.startswith("target") else "\ntarget: b\n"
    lines = problems_of(write(f"model: m\n{group}{rest}"))
    assert "p: expected a value or a list of values, got nothing; write null for the NULL partition" in lines[0]


def test_text_is_taken_as_it_is_written(write: Any) -> None:
    job = load_job(
        write(
            SMALLEST + "spark: {conf: {a: true, b: 1.10, c: 0x1F}}\n"
            "score: {postprocess: [label_map: {column: p, labels: {0: no, 1: yes}}]}\n"
        )
    )
    assert job.spark.conf == {"a": "true", "b": "1.10", "c": "0x1F"}
    assert job.score.postprocess[0].model_dump()["labels"] == {"0": "no", "1": "yes"}


def test_params_are_plain_yaml(write: Any) -> None:
    text = SMALLEST + "score: {params: {a: 1, b: 1e-3, c: [x, null, {d: false}], e: '5', f: 2024-01-01}}\n"
    assert load_job(write(text)).score.params == {
        "a": 1, "b": 0.001, "c": ["x", None, {"d": False}], "e": "5", "f": "2024-01-01",
    }  # fmt: skip


def test_steps_may_be_written_in_every_form(write: Any) -> None:
    text = SMALLEST + (
        "score:\n  postprocess:\n"
        "    - threshold: {column: p, at: 5e-1, output: q}\n"
        "    - {kind: threshold, column: p, at: 0.5, output: q}\n"
        "    - my.module:fn\n    - function: my.module:fn\n    - {kind: function, function: my.module:fn}\n"
    )
    threshold = ThresholdStep(column="p", at=0.5, output="q")
    function = FunctionStep(function="my.module:fn")
    assert load_job(write(text)).score.postprocess == (threshold, threshold, function, function, function)


def test_one_step_may_stand_without_a_list(write: Any) -> None:
    expected = (FunctionStep(function="my.module:fn"),)
    assert load_job(write(SMALLEST + "score: {postprocess: my.module:fn}")).score.postprocess == expected
    assert load_job(write(SMALLEST + "score: {postprocess: {function: my.module:fn}}")).score.postprocess == expected


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ("treshold: {column: a}", "unknown step 'treshold' (did you mean 'threshold'?)"),
        ("{kind: softmax, column: a}", "unknown step 'softmax'; the steps are threshold, argmax_label, top_k"),
        ("{column: a, at: 1}", "missing key 'kind', one of threshold"),
        ("[a]", "expected a step (threshold, argmax_label, top_k, label_map, pack, function), got a list"),
    ],
)
def test_a_wrong_step_is_told_with_the_right_ones(write: Any, step: str, problem: str) -> None:
    (line,) = problems_of(write(f"{SMALLEST}score:\n  postprocess:\n    - {step}\n"))
    assert line.startswith(f"job.yaml:6: score.postprocess[0]: {problem}")


def test_a_step_that_is_named_twice_is_refused(write: Any) -> None:
    inside = "column: a, at: 1, output: b"
    steps = f"    - {{threshold: {{{inside}}}, kind: threshold}}\n    - {{threshold: {{{inside}, kind: function}}}}\n"
    lines = problems_of(write(f"{SMALLEST}score:\n  postprocess:\n{steps}"))
    assert lines[0].startswith("job.yaml:6: unknown key 'threshold' in score.postprocess[0]; the keys are kind, column")
    assert lines[-1] == (
        "job.yaml:7: score.postprocess[1]: `threshold` is the kind of the step already: "
        "take `kind` out of the keys below it"
    )


def test_step_keys_that_are_not_indented_are_told_to_be(write: Any) -> None:
    (line,) = problems_of(write(f"{SMALLEST}score:\n  postprocess:\n    - threshold:\n      column: a\n      at: 1\n"))
    assert "indent the keys of `threshold` below it" in line


def test_a_key_with_nothing_below_it_is_as_good_as_left_out(write: Any) -> None:
    text = SMALLEST + "score:\n  # batch_size: 5\nspark:\n  conf:\n"
    assert load_job(write(text)) == load_job(write(SMALLEST))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "job.yaml:1: the job file is empty"),
        (b"# only a comment\n---\n", "job.yaml:1: the job file is empty"),
        (b"- a\n- b\n", "job.yaml:1: a job file is a mapping with the keys model, source and target, not a list"),
        (b"just text", "job.yaml:1: a job file is a mapping with the keys model, source and target, not 'just text'"),
        (b"model: m\nsource: [a\n", "job.yaml:3: not YAML: "),
        (b"model:\n\turi: m\n", "job.yaml:2: not YAML: a tab stands where YAML wants spaces"),
        (b"model: m\n---\nmodel: n\n", "job.yaml:2: not YAML: a second document starts here; a job file holds one"),
        (b"model: m\nsource: \xff\n", "job.yaml:2: a byte is not UTF-8"),
        ("model: m\n".encode("utf-16"), "job.yaml:1: the job file is UTF-16"),
        (b"model: m\nsource: a\x01b\n", "job.yaml:2: a control character is not allowed in YAML"),
        (b'model: "\\U00110000"', "job.yaml: the YAML cannot be read"),
        (b"[" * 5000, "job.yaml: the YAML cannot be read: nested too deeply"),
        (b"a" * (MAX_FILE_BYTES + 1), "job.yaml is larger than 256 KiB, which no job file needs"),
        (b"model: *nope\n", "job.yaml:1: not YAML: found undefined alias 'nope'"),
    ],
)
def test_what_is_no_job_file_is_told_in_one_line(write: Any, content: bytes, message: str) -> None:
    (line,) = problems_of(write(content))
    assert line.startswith(message) or f"/{message}" in line


def test_a_byte_order_mark_does_no_harm(write: Any) -> None:
    assert load_job(write(b"\xef\xbb\xbf" + SMALLEST.encode())).model.uri == "models:/churn@champion"


def test_a_missing_file_names_its_neighbours(write: Any) -> None:
    path = write(SMALLEST)
    with pytest.raises(ConfigError, match=r"there is no job file .*job\.yml \(did you mean 'job\.yaml'\?\)"):
        load_job(path.with_name("job.yml"))
    with pytest.raises(ConfigError, match="is a folder, not a job file"):
        load_job(path.parent)


def test_an_alias_bomb_is_refused_at_once(write: Any) -> None:
    levels = "\n".join(
        f"    {b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    bomb = f"{SMALLEST}score:\n  params:\n    a: &a [x, x]\n{levels}\n"
    (line,) = problems_of(write(bomb))
    assert "more than 10000 values once its aliases are followed" in line


def test_an_alias_to_itself_is_refused(write: Any) -> None:
    (line, *_) = problems_of(write(f"{SMALLEST}score:\n  params: {{a: &a [*a]}}\n"))
    assert "nested deeper than 40 levels" in line


def test_a_plain_alias_works(write: Any) -> None:
    job = load_job(write("model: m\nsource: &s {path: a}\ntarget: *s\n"))
    assert job.target.path == "a"


def test_variables_are_replaced_and_shown_unless_they_are_declared_secret(write: Any) -> None:
    text = "model: {uri: m, tracking_uri: 'https://host/${secret:PASSWORD}'}\nsource: ${BUCKET:-local}/in\ntarget: b\n"
    job = load_job(write(text), environ={"PASSWORD": "tr0ub4dor", "BUCKET": "s3://mine"})
    assert job.model.tracking_uri == "https://host/tr0ub4dor"
    assert job.source.path == "s3://mine/in"
    for shown in (repr(job), str(job.model), repr(pickle.loads(pickle.dumps(job)))):
        assert "tr0ub4dor" not in shown
        assert "https://host/${secret:PASSWORD}" in shown
    assert job.hide("cannot reach 'tr0ub4dor' at s3://mine/in") == "cannot reach '${secret:PASSWORD}' at s3://mine/in"
    assert job.hide({"a": ["tr0ub4dor", 1], "b": None}) == {"a": ["${secret:PASSWORD}", 1], "b": None}


def test_values_of_variables_are_no_secrets_by_themselves(write: Any) -> None:
    text = "model: models:/${NAME}/2\nsource: {path: in, where: \"day = '${DAY}'\"}\ntarget: out\n"
    job = load_job(write(text), environ={"NAME": "churn", "DAY": "2026-11-29"})
    assert job.hide("model churn version 2, 2026-11-29T12:44:50") == "model churn version 2, 2026-11-29T12:44:50"
    assert job.hide(job.source.where) == "day = '2026-11-29'"
    assert "2026-11-29" in repr(job)


def test_secrets_are_known_by_where_they_stand(write: Any) -> None:
    text = """\
        model: {uri: m, tracking_uri: 'https://u:uri-hunter2@host'}
        source: in
        target: out
        spark:
          conf:
            spark.hadoop.fs.azure.account.key.me.dfs.core.windows.net: ${KEY}
            spark.hadoop.javax.jdo.option.ConnectionURL: jdbc:sqlserver://h;user=a;password=jdbc-hunter2
            spark.sql.shuffle.partitions: 8
        score:
          params: {api_key: params-hunter2}
          extra_env: {HF_TOKEN: env-hunter2, MODE: fast}
        """
    job = load_job(write(textwrap.dedent(text)), environ={"KEY": "conf-hunter2"})
    assert "hunter2" not in repr(job)
    assert "'spark.sql.shuffle.partitions': '8'" in repr(job)
    quoted = "uri-hunter2, conf-hunter2, params-hunter2, 'env-hunter2', fast, 8, h;user=a;password=jdbc-hunter2"
    assert job.hide(quoted) == "***, ***, ***, '***', fast, 8, h;user=a;password=***"


def test_what_travels_to_workers_does_not_carry_the_password_of_a_server(write: Any) -> None:
    text = "model: {uri: m, tracking_uri: '${secret:URI}'}\nsource: a\ntarget: b\nscore: {params: {p: '${secret:P}'}}\n"
    job = load_job(write(text), environ={"URI": "https://u:tr0ub4dor@host", "P": "a param"})
    assert b"tr0ub4dor" not in pickle.dumps(job.score)
    assert job.score.hide("a param") == "${secret:P}"


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ("{path: b, output: '${secret:S}x'}", "target.output"),
        ("{path: b, output: {prediction: '${secret:S}'}}", "target.output"),
        ("{path: b, keep: [id, '${secret:S}']}", "target.keep"),
        ("{path: b, model_name_column: '${secret:S}'}", "target.model_name_column"),
        ("{path: b, mode: overwrite_partitions, partitions: {day: ['${secret:S}']}}", "target.partitions"),
        ("{table: b, properties: {team: '${secret:S}'}}", "target.properties"),
    ],
)
def test_a_secret_that_would_be_written_into_the_table_is_refused(write: Any, target: str, where: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{where}: ${{secret:S}} would be written")) as refused:
        load_job(write(f"model: m\nsource: a\ntarget: {target}\n"), environ={"S": "SuperColSecret1"})
    assert "SuperColSecret1" not in str(refused.value)
    assert "write ${NAME}" in refused.value.next_step
    assert load_job(write(f"model: m\nsource: a\ntarget: {target}\n".replace("secret:", "")), environ={"S": "column"})


def test_defaults_of_variables_hold_where_they_are_unset_or_empty(write: Any) -> None:
    text = "model: ${MODEL:-m}\nsource: ${IN:-data/in}\ntarget: $${b}\n"
    job = load_job(write(text), environ={"MODEL": ""})
    assert (job.model.uri, job.source.path, job.target.path) == ("m", "data/in", "${b}")
    assert "data/in" in repr(job)


def test_an_unset_variable_is_an_error_with_its_line(write: Any) -> None:
    text = "model: m\nsource: ${IN}\ntarget: b${\nscore: {params: {a: ['${X Y}']}}\n"
    assert problems_of(write(text)) == [
        "job.yaml:2: source: the environment variable IN is not set",
        "job.yaml:3: target: '${' is not `${NAME}`; write `$${` for a plain `${`",
        "job.yaml:4: score.params.a[0]: '${X Y}' is not `${NAME}`; write `$${` for a plain `${`",
    ]


@pytest.mark.parametrize(
    ("text", "where", "next_step"),
    [
        (
            "model: m\nsource: ${IN}\ntarget: b\n",
            ["job.yaml:2: source: the environment variable IN is not set"],
            "Set IN in the environment of this command, or give a default: ${IN:-value}.",
        ),
        (
            "model: m\nsource: a\ntarget: ${OUT}/${DAY}\n"
            "score:\n  params:\n    a: [1, '${DAY}']\n  extra_env: {T: '${T}'}\n",
            [
                "job.yaml:3: target: the environment variable OUT is not set",
                "job.yaml:3: target: the environment variable DAY is not set",
                "job.yaml:6: score.params.a[1]: the environment variable DAY is not set",
                "job.yaml:7: score.extra_env.T: the environment variable T is not set",
            ],
            "Set OUT, DAY, T in the environment of this command, or give a default: ${OUT:-value}.",
        ),
        (
            "model: m\nsource: ${IN}\ntarget: b\npalne: auto\n",
            [
                "job.yaml:2: source: the environment variable IN is not set",
                "job.yaml:4: unknown key 'palne' (did you mean 'plane'?)",
            ],
            "Correct the job file; `python -m spark_infer.config.reference` lists every key.",
        ),
    ],
)
def test_unset_variables_alone_are_no_fault_of_the_keys(
    write: Any, text: str, where: list[str], next_step: str
) -> None:
    path = write(text)
    assert problems_of(path) == where
    with pytest.raises(ConfigError) as refused:
        load_job(path, environ={})
    assert refused.value.next_step == next_step


def test_a_value_from_a_variable_is_not_in_the_error_about_it(write: Any) -> None:
    text = FULL.replace("10", "${SIZE}") + "  preprocess: ${CODE}\n"
    lines = problems_of(write(text), environ={"SIZE": "hunter2", "CODE": "hunter2"})
    assert [line for line in lines if "hunter2" in line] == []
    assert lines[0] == "job.yaml:6: score.batch_size: expected a whole number, 1 or more, or auto, got '${SIZE}'"


def test_a_secret_that_an_error_quotes_is_shown_by_its_name(write: Any) -> None:
    text = f"{SMALLEST}score: {{postprocess: [{{kind: '${{secret:S}}'}}]}}\n"
    (line,) = problems_of(write(text), environ={"S": "hunter2-hunter2"})
    assert line.startswith("job.yaml:4: score.postprocess[0]: unknown step '${secret:S}'")


def test_numbers_and_fixed_words_from_variables_work_and_are_shown(write: Any) -> None:
    text = FULL.replace("10", "${SIZE}").replace("path: b", "path: b\n  mode: ${MODE}")
    job = load_job(write(text), environ={"SIZE": "500", "MODE": "append"})
    assert (job.score.batch_size, job.target.mode) == (500, "append")
    assert job.hide("append 500") == "append 500"


def test_short_secrets_are_hidden_only_where_they_are_the_whole_text(write: Any) -> None:
    job = load_job(write("model: m\nsource: ${secret:A}\ntarget: ${secret:B}\n"), environ={"A": "in", "B": "data"})
    assert job.hide("in") == "${secret:A}"
    assert job.hide("in the database there is data") == "in the database there is ${secret:B}"


@pytest.mark.parametrize("key", ["source", "target", "model_files"])
@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIA:hunter2@bucket/t",
        "s3a://AKIA:hun/ter2@bucket/t",
        "s3://AKIA:1/hunter2@bucket/t",
        "s3://hunter2@bucket/t",
        "gs://k:hunter2@bucket/t",
        "abfss://c:hunter2@a.dfs.core.windows.net/t",
        "abfss://c@a.dfs.core.windows.net/t?sig=hunter2&se=1",
        "s3://bucket/t?secret_key=hunter2",
        "hdfs://me:hunter2@nn:8020/t",
    ],
)
def test_credentials_in_the_uri_of_a_table_are_refused_and_not_shown(write: Any, key: str, uri: str) -> None:
    places = {"source": "in", "target": "out", "model_files": "/m"} | {key: uri}
    path = write(
        "model: m\nsource: {source}\ntarget: {target}\nscore: {{model_files: '{model_files}'}}\n".format(**places)
    )
    with pytest.raises(ConfigError, match="the URI holds") as refused:
        load_job(path)
    assert "hunter2" not in str(refused.value)
    assert "environment" in str(refused.value)


@pytest.mark.parametrize(
    "uri",
    [
        "abfss://c@a.dfs.core.windows.net/t",
        "hdfs://me@nn:8020/a@b",
        "s3://bucket/day=1@x/t",
        "data/a:b@c",
        "/data/a:b@c",
    ],
)
def test_a_uri_without_credentials_stays_as_it_is(write: Any, uri: str) -> None:
    job = load_job(write(f"model: m\nsource: '{uri}'\ntarget: b\n"))
    assert job.source.path == uri == job.hide(job.source.path)


def test_an_override_replaces_adds_and_reaches_free_keys(write: Any) -> None:
    job = load_job(
        write(FULL),
        [
            "target.mode=append",
            "score.batch_size=7",
            "score.params.n.a=1",
            "spark.conf.spark.sql.shuffle.partitions=8",
            "target.scored_at_column=",
            "source.partition_filter={month: [1, 2]}",
        ],
    )
    assert (job.target.mode, job.score.batch_size, job.target.scored_at_column) == ("append", 7, None)
    assert job.spark.conf == {"spark.sql.shuffle.partitions": "8"}
    assert job.score.params == {"n.a": 1}
    assert job.source.partition_filter == {"month": (1, 2)}


def test_an_override_goes_below_a_short_form(write: Any) -> None:
    job = load_job(write(SMALLEST), ["source.version=3", "model.uri=models:/other/1", "target=elsewhere"])
    assert (job.source.path, job.source.version) == ("data/in", 3)
    assert (job.model.uri, job.target.path) == ("models:/other/1", "elsewhere")


def test_the_last_of_two_overrides_holds(write: Any) -> None:
    assert load_job(write(FULL), ["score.batch_size=7", "score.batch_size=9"]).score.batch_size == 9


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("target.mode", "--set 'target.mode': expected key=value, with a dotted key"),
        ("=x", "--set '': expected key=value, with a dotted key"),
        ("a..b=x", "--set 'a..b': expected key=value, with a dotted key"),
        ("target.mode=apend", "--set target.mode: expected one of error_if_exists"),
        ("target.mod=append", "--set target.mod: unknown key 'mod' in target (did you mean 'mode'?)"),
        ("score.batch_size=[1", "--set score.batch_size: not YAML: "),
        ("score.postprocess.0=x:y", "--set score.postprocess.0: a list stands at job.yaml:7; give the whole list"),
        ("source=${NOPE}", "--set source: the environment variable NOPE is not set"),
    ],
)
def test_a_wrong_override_is_told_by_its_key(write: Any, override: str, problem: str) -> None:
    (line,) = problems_of(write(FULL + "  postprocess:\n    - a:b\n"), (override,))
    assert line.startswith(problem)


def test_an_override_changes_one_place_of_a_shared_mapping(write: Any) -> None:
    job = load_job(write("model: m\nsource: &s {path: a}\ntarget: *s\n"), ["target.path=b"])
    assert (job.source.path, job.target.path) == ("a", "b")


KEYS = ["model", "source", "target", "score", "spark", "uri", "path", "mode", "postprocess", "params", "kind", "keep"]
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.sampled_from(KEYS), st.text())
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_no_bytes_raise_anything_but_a_config_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    check_only_config_errors(tmp_path_factory, content, ())


@given(tree=st.dictionaries(st.sampled_from(KEYS), TREES, max_size=6))
def test_no_yaml_raises_anything_but_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]
) -> None:
    check_only_config_errors(tmp_path_factory, yaml.safe_dump(tree).encode("utf-8", "replace"), ())


@given(
    override=st.text(max_size=40)
    | st.builds("{}={}".format, st.sampled_from(["source", "a.b", "spark.conf.x"]), st.text())
)
def test_no_override_raises_anything_but_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, override: str
) -> None:
    check_only_config_errors(tmp_path_factory, SMALLEST.encode(), (override,))


def check_only_config_errors(factory: pytest.TempPathFactory, content: bytes, overrides: tuple[str, ...]) -> None:
    path = factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(content)
    message = ""
    try:
        load_job(path, overrides, environ={})
    except ConfigError as error:
        message = str(error)
    # What cannot be printed, or takes more than a line, would have come from the file unquoted.
    assert all(line.isprintable() for line in message.split("\n"))
    assert len(message) < 20_000
