"""Names to objects: a file's name is its name, imported when asked for.

A catalogue reads the names in a package's folder, adds those that other installed
packages announce under an entry point group (`peftbench.tasks`, `peftbench.methods`,
`peftbench.metrics`) and those of single files named in `PEFTBENCH_PLUGINS`. Nothing is
imported until its name is looked up, so listing is instant.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from peftbench.errors import InvalidSpec, UnknownName

T = TypeVar("T")

#: Files from outside, separated as in PATH. The environment reaches worker processes too.
PLUGINS_VARIABLE = "PEFTBENCH_PLUGINS"


@dataclass(frozen=True)
class Catalogue(Generic[T]):
    """All objects of one kind, by name.

    Every public module of `package` holds one object in its variable `attribute`.
    Its name is the module's, with `separator` in place of underscores.
    """

    kind: str
    package: str
    attribute: str
    separator: str = "_"

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted({*self._modules, *self._entry_points, *self._files}))

    def get(self, name: str) -> T:
        """The object called `name`; raises `UnknownName` with a suggestion."""
        module = self.module(name)
        try:
            found: T = getattr(module, self.attribute)
        except AttributeError:
            raise InvalidSpec(
                f"{module.__file__} defines no {self.attribute}; a {self.kind} file must "
                f"end with `{self.attribute} = ...`."
            ) from None
        return found

    def module(self, name: str) -> ModuleType:
        """The module that defines `name`."""
        canonical = self.canonical(name)
        if canonical in self._files:
            return _import_file(self._files[canonical])
        if canonical in self._modules:
            return importlib.import_module(f"{self.package}.{self._modules[canonical]}")
        if canonical in self._entry_points:
            loaded: Any = self._entry_points[canonical].load()
            return loaded if isinstance(loaded, ModuleType) else _holder(self, loaded)
        raise UnknownName(self.kind, name, self.names())

    def canonical(self, name: str) -> str:
        """The name as the catalogue writes it."""
        return name.replace("-", self.separator).replace("_", self.separator)

    @cached_property
    def _modules(self) -> dict[str, str]:
        folder = Path(str(importlib.import_module(self.package).__file__)).parent
        stems = [path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")]
        return {self.canonical(stem): stem for stem in stems}

    @cached_property
    def _entry_points(self) -> dict[str, EntryPoint]:
        group = entry_points(group=f"peftbench.{self.kind}s")
        return {self.canonical(point.name): point for point in group}

    @property
    def _files(self) -> dict[str, Path]:
        """Plug-in files that define this kind of object; read as text, not imported."""
        found = {}
        for entry in filter(None, os.environ.get(PLUGINS_VARIABLE, "").split(os.pathsep)):
            path = Path(entry)
            if not path.is_file():
                raise InvalidSpec(f"No plug-in file {str(path)!r}: is the path right?")
            if f"\n{self.attribute} " in path.read_text("utf-8"):
                found[self.canonical(path.stem)] = path
        return found


def _holder(catalogue: Catalogue[Any], loaded: object) -> ModuleType:
    """An entry point may name the object itself; give it the shape of a module."""
    module = ModuleType(f"{catalogue.package}.<entry point>")
    setattr(module, catalogue.attribute, loaded)
    return module


def _import_file(path: Path) -> ModuleType:
    name = f"peftbench_plugin_{path.stem}"
    if name in sys.modules and sys.modules[name].__file__ == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidSpec(f"{str(path)!r} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception:
        del sys.modules[name]
        raise
    return module
