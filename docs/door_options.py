"""Gives the API reference the options of the doors, as `help` shows them: a Griffe extension for `mkdocs.yml`."""

import inspect
from typing import Any

from griffe import Extension, Function, Parameter, ParameterKind, dynamic_import


class DoorOptions(Extension):
    """Take signature and docstring from the function itself, which spells its ``**options`` out."""

    def on_function(self, *, func: Function, **_: Any) -> None:
        """Replace a function's ``**options: Unpack[…]`` by the options."""
        options = next((each for each in func.parameters if str(each.annotation).startswith("Unpack[")), None)
        if options is None or func.docstring is None:  # an overload has no docstring
            return
        door = dynamic_import(func.path)
        func.docstring.value = inspect.cleandoc(door.__doc__)
        del func.parameters[options.name]
        for name, each in inspect.signature(door).parameters.items():
            if name not in func.parameters:
                kind, default = ParameterKind.keyword_only, repr(each.default)
                func.parameters.add(Parameter(name, annotation=each.annotation, kind=kind, default=default))
