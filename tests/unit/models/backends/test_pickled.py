from __future__ import annotations

import pickle
from collections import OrderedDict
from decimal import Decimal
from pathlib import Path

import pytest

from spark_infer.errors import ModelRefusedError
from spark_infer.models.backends.pickled import check_importable, imported_by


class Refuses:
    """Ends the process when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return SystemExit, ("unpickled",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_a_pickle_takes_from_modules_is_found_without_unpickling_it(protocol: int) -> None:
    pickled = pickle.dumps([OrderedDict(a=Decimal(1)), Refuses()], protocol=protocol)
    found = set(imported_by(pickled))
    assert {("collections", "OrderedDict"), ("decimal", "Decimal"), ("builtins", "SystemExit")} <= found


def test_a_module_is_looked_for_among_the_models_own_and_not_imported(tmp_path: Path) -> None:
    (tmp_path / "made_up_nets.py").write_text("raise SystemExit('imported')")
    check_importable([("made_up_nets", "Net"), ("decimal", "Decimal"), ("json.decoder", "x")], [tmp_path])
    with pytest.raises(ModelRefusedError, match=r"needs 'Net' from module 'made_up_nets.deep', and there is no module"):
        check_importable([("made_up_nets.deep", "Net")], [])


def test_a_class_of_a_notebook_that_was_pickled_by_name_is_refused() -> None:
    with pytest.raises(ModelRefusedError, match="its class 'Net', which was defined in a notebook or script"):
        check_importable([("__main__", "Net")], [])
