from __future__ import annotations

import pickle
import sys
import time
from pathlib import Path

import pytest
import yaml

from spark_infer.errors import ModelNotFoundError, ModelRefusedError
from spark_infer.models.mlmodel import read_mlmodel


def test_the_parts_that_scoring_needs_come_out_as_plain_values(folder: Path) -> None:
    read = read_mlmodel(folder)
    assert tuple(read.flavors) == ("python_function", "sklearn")
    assert read.flavors["sklearn"] == {"code": None, "pickled_model": "model.skops"}
    assert read.predict_fn == "predict_proba"
    assert (read.mlflow_version, read.model_uuid, read.run_id) == ("3.17.2", "m-1", "r-1")
    assert read.has_input_example
    assert read.signature is not None
    assert read.signature.names == ("a",)
    assert pickle.loads(pickle.dumps(read)) == read


def test_a_model_with_flavors_alone_is_enough(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {sklearn: {pickled_model: m.pkl}}")
    read = read_mlmodel(tmp_path)
    assert (read.signature, read.predict_fn, read.pyfunc, read.has_input_example) == (None, "predict", None, False)


def test_what_lies_in_the_folder_instead_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="There is no folder"):
        read_mlmodel(tmp_path / "none")
    (tmp_path / "model.pkl").touch()
    with pytest.raises(ModelNotFoundError, match="is not a folder"):
        read_mlmodel(tmp_path / "model.pkl")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "MLmodel").touch()
    with pytest.raises(ModelNotFoundError, match=r"found instead: inner/MLmodel, inner/, model\.pkl"):
        read_mlmodel(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFoundError, match="nothing, it is empty"):
        read_mlmodel(tmp_path / "empty")


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"python_function": {"data": "../outside"}}, "data"),
        ({"python_function": {"code": "/etc"}}, "code"),
        ({"python_function": {"model_path": "a/../../b"}}, "model_path"),
        ({"python_function": {"artifacts": {"w": {"path": "..\\..\\w", "uri": "/home/me/w"}}}}, "path"),
        ({"python_function": {"env": {"conda": "C:\\conda.yaml"}}}, "conda"),
        ({"sklearn": {"pickled_model": "\\\\host\\share\\m.pkl"}}, "pickled_model"),
        ({"pytorch": {"extra_files": [{"path": "ok.txt"}, {"path": "/no.txt"}]}}, "path"),
        ({"onnx": {"data": ["model.onnx", "../model.data"]}}, "data"),
        ({"custom": {"deep": {"deeper": [{"saved_model_dir": ".."}]}}}, "saved_model_dir"),
    ],
)
def test_a_path_outside_the_folder_is_refused(folder: Path, settings: dict[str, object], key: str) -> None:
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": settings}))
    with pytest.raises(ModelRefusedError, match=f"`{key}` names .* outside the model folder"):
        read_mlmodel(folder)


def test_the_path_of_the_input_example_is_checked_too(folder: Path) -> None:
    document = {"flavors": {"a": {}}, "saved_input_example_info": {"artifact_path": "../../x.json"}}
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    with pytest.raises(ModelRefusedError, match="`artifact_path` names"):
        read_mlmodel(folder)


def test_a_path_that_a_link_takes_outside_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (folder / "deps").symlink_to(tmp_path / "outside")
    (folder / "MLmodel").write_text("flavors: {python_function: {code: deps/code}}")
    with pytest.raises(ModelRefusedError, match="a link takes it outside"):
        read_mlmodel(folder)


def test_an_mlmodel_file_that_is_a_link_to_the_outside_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "MLmodel").rename(tmp_path / "MLmodel")
    (folder / "MLmodel").symlink_to(tmp_path / "MLmodel")
    with pytest.raises(ModelRefusedError, match="not a plain file in the model folder"):
        read_mlmodel(folder)


def test_where_an_artifact_came_from_and_the_authors_code_path_are_not_paths_of_the_folder(folder: Path) -> None:
    settings = {"artifacts": {"w": {"path": "artifacts/w", "uri": "/home/me/w"}}, "model_code_path": "/home/me/m.py"}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": settings}}))
    assert read_mlmodel(folder).flavors["python_function"] == settings


_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(ord(level) + 1)}: &{chr(ord(level) + 1)} [{', '.join(['*' + level] * 9)}]\n" for level in "abcdefghijkl"
)
_MERGE_BOMB = "a: &a {x: 1}\n" + "".join(
    f"{chr(ord(level) + 1)}: &{chr(ord(level) + 1)} {{<<: [{', '.join(['*' + level] * 9)}]}}\n"
    for level in "abcdefghij"
)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (_BOMB, "aliases multiply"),
        (_MERGE_BOMB, "aliases multiply"),
        ("flavors: &f {a: *f}", "contains itself"),
        ("[" * 100_000, "nested too deep|maximum nesting depth"),
        ("{a: " * 100_000, "nested too deep|maximum nesting depth"),
        ("- x\n" * 500_000, "too many entries"),
        ("flavors: {a: {b: 1" + "0" * 5_000 + "}}", "not plain YAML"),
        ("flavors: !!python/object/apply:os.system [exit 3]", "not plain YAML"),
        ("flavors: {a: {b: !!binary aGk=}}", "not plain YAML"),
        ("flavors: {a: {b: 2024-99-99}}", "not plain YAML"),
        ("flavors: [1", "not plain YAML"),
        ("\x00\x01", "not plain YAML"),
        ("", "not a mapping"),
        ("just text", "not a mapping"),
        ("a: 1", "`flavors` is not a mapping"),
        ("flavors: []", "`flavors` is not a mapping"),
        ("flavors: {}", "`flavors` is not a mapping"),
        ("flavors: {sklearn: 3}", "`flavors` is not a mapping"),
        ("flavors: {a: {}}\nsignature: {inputs: '" + "[" * 100_000 + "'}", "nested too deep|maximum nesting depth"),
    ],
)
def test_a_hostile_or_broken_file_is_refused_at_once(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "MLmodel").write_text(text)
    started = time.monotonic()
    with pytest.raises(ModelRefusedError, match=complaint):
        read_mlmodel(tmp_path)
    assert time.monotonic() - started < 5


def test_a_file_over_the_size_limit_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "MLmodel").open("wb") as file:
        file.truncate(2**40)  # a hole: no disk is used, and reading it all would end the test
    with pytest.raises(ModelRefusedError, match="larger than 8 MiB"):
        read_mlmodel(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_bytes(b"flavors: \xff\xfe\xfa")
    with pytest.raises(ModelRefusedError, match="not plain YAML"):
        read_mlmodel(tmp_path)


def test_a_few_honest_aliases_are_read(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {a: &x {k: [1, 2]}, b: *x}")
    assert read_mlmodel(tmp_path).flavors == {"a": {"k": [1, 2]}, "b": {"k": [1, 2]}}


def test_nothing_that_the_file_names_is_imported(folder: Path) -> None:
    (folder / "code" / "trap_for_the_reader.py").write_text("raise SystemExit('imported')")
    settings = {"loader_module": "trap_for_the_reader", "code": "code"}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": settings}}))
    read_mlmodel(folder)
    assert "trap_for_the_reader" not in sys.modules
