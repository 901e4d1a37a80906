"""`peftbench schema`: the JSON Schema of a spec, for editors."""

from __future__ import annotations

import json

from peftbench.cli._app import app
from peftbench.spec import Benchmark


@app.command()
def schema() -> None:
    """Print the JSON Schema of a spec, so that editors complete and check it."""
    found = Benchmark.model_json_schema()
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    print(json.dumps(found, indent=2))
