"""Make `peft` open what our own methods save, without importing it.

`peft` has no entry points: an adapter type from outside must be put into its tables once it
is imported. Whoever has imported peftbench expects `PeftModel.from_pretrained` to work, and
`import peftbench` must stay instant. So the import of `peft`, whenever it happens, is
followed by ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_TUNER = "peftbench.methods._native.tuner"
_NO_COMPILER = (
    "TORCHDYNAMO_DISABLE"  # torch asks for it whenever something is to be compiled
)


def register_when_imported() -> None:
    """Register our adapters with `peft` now, or as soon as it is imported."""
    if "peft" in sys.modules:
        _register()
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _register() -> None:
    if _TUNER in sys.modules:
        return  # it is what imports `peft`; `NativeMethod` registers it when it is there
    from peftbench.methods._native.tuner import register

    register()


class _Finder(MetaPathFinder):
    """Asks the other finders, until `peft` is imported: many only ask whether it is there."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """The usual spec of `peft`; None for every other module."""
        if fullname != "peft":
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self)
        return spec


class _Loader(Loader):
    """Loads as `loader` does, then registers."""

    def __init__(self, loader: Loader, finder: _Finder) -> None:
        self.loader, self.finder = loader, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """See `Loader.create_module`."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """See `Loader.exec_module`."""
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.loader
        sys.meta_path.remove(self.finder)  # nothing of us stays
        with _nothing_compiled():
            self.loader.exec_module(module)
        _register()


@contextmanager
def _nothing_compiled() -> Iterator[None]:
    """Let `torch.compile` leave what is imported as it is.

    `peft` imports bitsandbytes, which asks to compile functions that stand in where a device
    has no kernel of its own, and importing the compiler takes a quarter of the time of all.
    """
    before = os.environ.get(_NO_COMPILER)
    os.environ[_NO_COMPILER] = "1"
    try:
        yield
    finally:
        del os.environ[_NO_COMPILER]
        if before is not None:
            os.environ[_NO_COMPILER] = before
