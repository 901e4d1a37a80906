"""Fair comparisons of parameter-efficient fine-tuning methods.

>>> import peftbench
>>> results = peftbench.run("quickstart")  # doctest: +SKIP
>>> results.to_frame()  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peftbench._peft import register_when_imported

if TYPE_CHECKING:
    from peftbench.api import Experiment, News, Results, run, task_from_frame

__version__ = "0.1.0"
__all__ = ["Experiment", "News", "Results", "__version__", "run", "task_from_frame"]


register_when_imported()  # so that `PeftModel.from_pretrained` opens our adapters


def __getattr__(name: str) -> Any:
    """Import what runs benchmarks when first used: `import peftbench` stays instant."""
    if name in __all__:
        from peftbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'peftbench' has no attribute {name!r}")
