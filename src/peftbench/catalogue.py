"""Names to objects: a file's name is its name, imported when asked for.

A catalogue reads the names in a package's folder, adds those that other installed
packages announce under an entry point group (`peftbench.tasks`, `peftbench.methods`,
`peftbench.metrics`) and those of single files named in `PEFTBENCH_PLUGINS`. Nothing is
imported until its name is looked up, so listing is instant.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from peftbench.errors import InvalidSpec, UnknownName

T = TypeVar("T")

#: What defines a name: a module of the package, another package, or a plug-in file.
Origin = str | EntryPoint | Path

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
        return tuple(sorted(self._origins()))

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
        origin = self._origins().get(self.canonical(name))
        if origin is None:
            raise UnknownName(self.kind, name, self.names())
        if isinstance(origin, Path):
            return _import_file(origin)
        if isinstance(origin, EntryPoint):
            return _load_entry_point(self, origin)
        return importlib.import_module(origin)

    def canonical(self, name: str) -> str:
        """The name as the catalogue writes it."""
        return name.replace("-", self.separator).replace("_", self.separator)

    def source_sha256(self, name: str) -> str | None:
        """Digest of a plug-in file's text; None for what is installed and has a version.

        It is part of a cell's identity: an edited plug-in is another method or task.
        """
        origin = self._origins().get(self.canonical(name))
        if not isinstance(origin, Path):
            return None
        return hashlib.sha256(origin.read_bytes()).hexdigest()

    def _origins(self) -> dict[str, Origin]:
        """Where each name is defined. Two things of one name are refused: they would have
        the same cells, and the results of one would be shown as the other's."""
        found: dict[str, Origin] = {}
        named: Iterator[tuple[str, Origin]] = chain(
            self._modules, self._entry_points, self._files()
        )
        for name, origin in named:
            if _shown(found.setdefault(name, origin)) != _shown(origin):
                raise InvalidSpec(
                    f"Two {self.kind}s are called {name!r}: {_shown(found[name])} and "
                    f"{_shown(origin)}. Give one of them another name."
                )
        return found

    @cached_property
    def _modules(self) -> list[tuple[str, str]]:
        folder = Path(str(importlib.import_module(self.package).__file__)).parent
        stems = [path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")]
        return [(self.canonical(stem), f"{self.package}.{stem}") for stem in stems]

    @cached_property
    def _entry_points(self) -> list[tuple[str, EntryPoint]]:
        group = entry_points(group=f"peftbench.{self.kind}s")
        return [(self.canonical(point.name), point) for point in group]

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Plug-in files that define this kind of object; read as text, not imported."""
        definition = re.compile(rf"^{self.attribute}\s*[:=]", re.MULTILINE)
        for entry in filter(None, os.environ.get(PLUGINS_VARIABLE, "").split(os.pathsep)):
            path = Path(entry)
            if not path.is_file():
                raise InvalidSpec(f"No plug-in file {str(path)!r}: is the path right?")
            try:
                text = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise InvalidSpec(
                    f"The plug-in file {path} cannot be read as UTF-8 text: {error}."
                ) from error
            if definition.search(text):
                yield self.canonical(path.stem), path


def _shown(origin: Origin) -> str:
    return origin.value if isinstance(origin, EntryPoint) else str(origin)


def _load_entry_point(catalogue: Catalogue[Any], point: EntryPoint) -> ModuleType:
    """The module that an entry point names. It may also name the object itself, which then
    gets the shape of a module."""
    try:
        loaded: Any = point.load()
    except (Exception, SystemExit) as error:
        raise InvalidSpec(
            f"The {catalogue.kind} {point.name!r} of another package ({point.value}) does "
            f"not load: {type(error).__name__}: {error}. Reinstall or remove that package."
        ) from error
    if isinstance(loaded, ModuleType):
        return loaded
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
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InvalidSpec(
            f"The plug-in file {path} does not load: {type(error).__name__}: {error}."
        ) from error
    return module
