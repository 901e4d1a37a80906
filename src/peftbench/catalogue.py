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
import traceback
from collections.abc import Callable, Iterable, Iterator
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

#: Endings of plug-in files that are data and not programs.
YAML_SUFFIXES = (".yaml", ".yml")

#: Files from outside, separated as in PATH. The environment reaches worker processes too.
PLUGINS_VARIABLE = "PEFTBENCH_PLUGINS"


_PACKAGE = Path(__file__).parent

#: What a plug-in file may define: one of these, of whatever kind.
_ANY_DEFINITION = re.compile(r"^(METHOD|TASK|METRIC|PERTURBATION)\s*[:=]", re.MULTILINE)


def plug_in(
    files: Iterable[Path], *, instead_of: Callable[[Path], bool] | None = None
) -> None:
    """Make plug-in files known to this process and to those that it starts, in place of
    those of the same names that `instead_of` says may go."""
    known = filter(None, os.environ.get(PLUGINS_VARIABLE, "").split(os.pathsep))
    added = [file.resolve() for file in files]
    names = {file.name for file in added}
    kept = [
        one
        for one in map(Path, known)
        if instead_of is None or one.name not in names or not instead_of(one)
    ]
    parts = dict.fromkeys(map(str, [*kept, *added]))
    os.environ[PLUGINS_VARIABLE] = os.pathsep.join(parts)


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
    #: Makes the object of a plug-in file in YAML; None: this kind has none such.
    from_yaml: Callable[[Path], T] | None = None

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._origins()))

    def own_names(self) -> tuple[str, ...]:
        """The names of what comes with the package, sorted."""
        return tuple(sorted(name for name, _ in self._modules))

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
        if isinstance(origin, Path) and origin.suffix in YAML_SUFFIXES:
            return self._as_module(origin)
        if isinstance(origin, Path):
            return _import_file(origin)
        if isinstance(origin, EntryPoint):
            return _load_entry_point(self, origin)
        return importlib.import_module(origin)

    def _as_module(self, path: Path) -> ModuleType:
        """A YAML file in the shape of a module."""
        assert self.from_yaml is not None, "only those that can be read are listed"
        found = self.from_yaml(path)
        module = ModuleType(
            f"{self.package}.<{path.name}>", getattr(found, "description", "")
        )
        module.__file__ = str(path)
        setattr(module, self.attribute, found)
        return module

    def canonical(self, name: str) -> str:
        """The name as the catalogue writes it."""
        return name.replace("-", self.separator).replace("_", self.separator)

    def source(self, name: str) -> str | None:
        """Where what comes from outside is from; None for what comes with this package.

        A file's digest, or of another package its name, its version and the digest of the
        module. It is part of a cell's identity: an edited plug-in is another method or task.
        """
        origin = self._origins().get(self.canonical(name))
        if isinstance(origin, Path):
            return f"sha256:{_sha256(origin)}"
        if isinstance(origin, EntryPoint):
            return _distribution(self, origin)
        return None

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
            if path.suffix in YAML_SUFFIXES and self.from_yaml is None:
                continue
            if not path.is_file():
                raise InvalidSpec(f"No plug-in file {str(path)!r}: is the path right?")
            try:
                text = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise InvalidSpec(
                    f"The plug-in file {path} cannot be read as UTF-8 text: {error}."
                ) from error
            if path.suffix in YAML_SUFFIXES or definition.search(text):
                yield self.canonical(path.stem), path
            elif not _ANY_DEFINITION.search(text):
                raise InvalidSpec(
                    f"The plug-in file {path} defines no {self.kind}, nor anything else: it "
                    f"must end with `{self.attribute} = ...`, at the beginning of a line."
                )


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
            f"not load: {explained(error)}. Reinstall or remove that package."
        ) from error
    if isinstance(loaded, ModuleType):
        return loaded
    module = ModuleType(f"{catalogue.package}.<entry point>")
    module.__file__ = getattr(sys.modules.get(point.module), "__file__", None)
    setattr(module, catalogue.attribute, loaded)
    return module


def _distribution(catalogue: Catalogue[Any], point: EntryPoint) -> str:
    """Name and version of the package behind an entry point, and its module's digest."""
    module = point.module
    try:
        spec = importlib.util.find_spec(module)
    except (Exception, SystemExit) as error:
        raise InvalidSpec(
            f"The {catalogue.kind} {point.name!r} of another package ({point.value}) is not "
            f"found: {explained(error)}. Reinstall or remove that package."
        ) from error
    file = Path(spec.origin) if spec and spec.origin else None
    digest = f" sha256:{_sha256(file)}" if file and file.is_file() else ""
    package = f"{point.dist.name} {point.dist.version}" if point.dist else module
    return f"{package}{digest}"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _import_file(path: Path) -> ModuleType:
    """The module of a plug-in file, run once as long as its text is the same."""
    name, digest = f"peftbench_plugin_{path.stem}", _sha256(path)
    known = sys.modules.get(name)
    if known is not None and vars(known).get("_peftbench_read") == (path, digest):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidSpec(f"{str(path)!r} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    vars(module)["_peftbench_read"] = path, digest
    sys.modules[name] = module
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InvalidSpec(
            f"The plug-in file {path} does not load: {explained(error, path)}."
        ) from error
    return module


def explained(error: BaseException, path: Path | None = None) -> str:
    """An error of somebody's code in one line, with the file and line where it arose: the
    innermost in `path` if that is given."""
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):  # says its file and line itself
        return f"{said} in {error.filename}, line {error.lineno}" if error.lineno else said
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if path and Path(frame.filename) == path]
    if not inside and path is None:
        inside = [f for f in frames if not f.filename.startswith(("<", str(_PACKAGE)))]
    where = inside[-1] if inside else None
    return f"{said} in {where.filename}, line {where.lineno}" if where else said
