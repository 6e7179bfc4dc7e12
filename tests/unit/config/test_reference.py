from __future__ import annotations

import os
import re
from pathlib import Path

import yaml

from spark_infer.config import JobConfig
from spark_infer.config.annotations import fields_below
from spark_infer.config.load import load_job
from spark_infer.config.reference import reference_markdown

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "conf/reference.yaml"


def keys_of(tree: object, path: str = "") -> set[str]:
    """Return the dotted path of every key, those of a list's items below the list."""
    if isinstance(tree, list):
        return {key for item in tree for key in keys_of(item, path)}
    if not isinstance(tree, dict):
        return set()
    here = {f"{path}.{name}" if path else str(name): value for name, value in tree.items()}
    return {*here, *(key for name, value in here.items() for key in keys_of(value, name))}


def test_the_reference_page_is_up_to_date() -> None:
    page = ROOT / "docs/job-file.md"
    head, keys, tables = page.read_text(encoding="utf-8").partition("\n## Keys\n")
    if os.environ.get("WRITE_DOCS"):
        page.write_text(head + reference_markdown(), encoding="utf-8")
    else:
        assert keys + tables == reference_markdown(), "make docs"


def test_the_reference_page_has_every_key_of_the_schema() -> None:
    page = reference_markdown()
    assert [path for path, _ in fields_below(JobConfig) if f"| `{path.rpartition('.')[2]}` |" not in page] == []


def test_the_reference_job_loads() -> None:
    job = load_job(REFERENCE, environ={})
    assert job.target.partitions == {"month": (10, 11, 12)}
    assert len(job.score.postprocess) == 6


def test_the_reference_job_has_every_key_of_the_schema() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    # A key that cannot stand beside another is written behind `#` at its place.
    found = keys_of(yaml.safe_load(re.sub(r"^( +)# ([a-z_]+:)", r"\1\2", text, flags=re.MULTILINE)))
    # `- function: my.module:function` is the short form of a step with the key `function`.
    wanted = {path for path, _ in fields_below(JobConfig)} - {"score.postprocess.function.function"}
    assert wanted - found == set()


def test_the_keys_behind_a_comment_sign_work_in_place_of_those_above(tmp_path: Path) -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    swapped = re.sub(r"^  path: .*\n  # (table: .*)$", r"  \1", text, flags=re.MULTILINE)
    (tmp_path / "job.yaml").write_text(swapped, encoding="utf-8")
    job = load_job(tmp_path / "job.yaml")
    assert (job.source.table, job.target.table) == ("main.flights", "main.flights_scored")


def test_what_the_reference_job_does_not_call_an_example_is_the_default() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    job = load_job(REFERENCE, environ={})
    defaults = {
        path: field.get_default(call_default_factory=True)
        for path, field in fields_below(JobConfig)
        # groups inside another one, and examples
        if not field.is_required()
        and "postprocess" not in path
        and not path.startswith(("source.features.", "score.compile.", "score.decode.", "score.isolation."))
    }
    examples = {
        "target.partitions",
        "incremental",
        "source.path",
        "target.path",
        "score",
        "spark",
        "source.table",
        "quarantine",
        "quarantine.path",
        "quarantine.table",
        "cache",
        "cache.path",
        "cache.table",
        "aggregate",
        "aggregate.path",
        "aggregate.table",
        "quarantined",
        "retry",
        "target.table",
        "resources",
    }
    for path, default in defaults.items():
        group, _, name = path.rpartition(".")
        part = text.partition(f"\n{group}:")[2] if group else text
        line = next(line for line in part.splitlines() if re.match(rf" *(# )?{name}:", line))
        if "example" not in line and path not in examples:
            owner = getattr(job, group) if group else job
            names = {field.alias or name: name for name, field in type(owner).model_fields.items()}
            assert getattr(owner, names[name]) == default, path
