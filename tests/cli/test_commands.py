"""Commands as a user types them: what they print, and how they exit."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from command_line import peftbench

#: Only tests that start a process themselves are about processes.
pytestmark = pytest.mark.usefixtures("no_processes")

SPEC = """
models: [tiny]
methods: [base, {name: lora, parameters: {rank: 4}, label: small lora}]
tasks: [generated_sums]
seeds: [1, 2]
training: {steps: 4, batch_size: 4, validations: 1, max_length: 64}
limits: {train: 40, validation: 8, test: 12}
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a spec and the store of its finished run, in processes as users have
    them, and what the run said."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "small.yaml").write_text(SPEC)
    ran = subprocess.run(
        [sys.executable, "-m", "peftbench", "run", "small.yaml", "--store", "store",
         "--workers", "1"],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder, ran.stdout


def test_run_shows_progress_table_and_report(done: tuple[Path, str]) -> None:
    folder, said = done
    assert "3 cells, 0 done, 3 to do" in said
    assert "measuring the cost of small lora" in said
    assert "[3/3]" in said
    assert "Scores on tiny" in said
    assert "small lora" in said
    assert "Report: store/report.html" in said
    logs = [file.read_text() for file in (folder / "store" / "logs").iterdir()]
    assert sum(text.count(" done\n") for text in logs) == 5  # two costs, three cells
    page = (folder / "store" / "report.html").read_text("utf-8")
    assert "small lora" in page
    assert "PSCP" in page


def test_tuning_tries_on_validation_and_keeps_the_curve(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(
        SPEC.replace("seeds: [1, 2]", "seeds: [1]") + "tuning: {trials: 2}\n"
    )
    ran = peftbench("run", "small.yaml", "--store", "store", "--no-costs", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 cells, 0 done, 2 to do, after 2 trials" in ran.stdout
    assert ran.stdout.count("validation ") == 2
    assert "tiny · small lora · generated_sums · trial 1: validation " in ran.stdout
    assert "[2/2]" in ran.stdout, "trials are no cells"
    exported = peftbench("export", "--store", "store", "--output", "out", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    lines = (tmp_path / "out" / "records.jsonl").read_text().splitlines()
    [lora] = [r for r in map(json.loads, lines) if r["cell"]["method"]["name"] == "lora"]
    assert [trial["number"] for trial in lora["trials"]] == [0, 1]
    assert lora["scores"]
    shown = peftbench(
        "show", lora["trials"][0]["runs"][0], "--store", "store", "--json", cwd=tmp_path
    )
    trial = json.loads(shown.stdout)
    assert trial["validations"]
    steps = (tmp_path / "out" / "steps.jsonl").read_text().splitlines()
    asked = [s["step"]["adapter"] for s in map(json.loads, steps) if s["kind"] == "predict"]
    assert trial["id"] not in asked  # the test split was not looked at
    again = peftbench("run", "small.yaml", "--store", "store", "--no-costs", cwd=tmp_path)
    assert "2 done, 0 to do; " in again.stdout
    assert "validation " not in again.stdout
    plan = peftbench("plan", "small.yaml", "--store", "store", cwd=tmp_path)
    assert "2 cells, 2 done, 0 to do" in plan.stdout
    assert "Tuned: every search has had its 2 trials." in plan.stdout


def test_run_again_does_nothing_and_says_the_same(done: tuple[Path, str]) -> None:
    folder, said = done
    again = peftbench("run", "small.yaml", "--store", "store", cwd=folder)
    assert again.returncode == 0
    assert "3 cells, 3 done, 0 to do" in again.stdout
    assert "[1/" not in again.stdout
    table = said[said.index("Scores on tiny") :]
    assert again.stdout.endswith(table)


def test_rescore_of_a_real_run_finds_the_same_scores(done: tuple[Path, str]) -> None:
    folder, _ = done
    said = peftbench("rescore", "--store", "store", cwd=folder)
    assert said.returncode == 0, said.stderr
    assert (
        "3 test sets of finished cells: 0 changed, 3 the same, 0 not scored again"
        in said.stdout
    )
    wrong = peftbench("rescore", "--store", "store", "--benchmark", "x", cwd=folder)
    assert wrong.returncode == 2
    assert "no benchmark called 'x'; it has small" in wrong.stderr


def test_plan_knows_what_is_done(done: tuple[Path, str]) -> None:
    folder, _ = done
    said = peftbench("plan", "small.yaml", "--store", "store", "--json", cwd=folder)
    plan = json.loads(said.stdout)
    assert [cell["status"] for cell in plan["cells"]] == ["finished"] * 3
    more = peftbench(
        "plan",
        "small.yaml",
        "--store",
        "store",
        "--set",
        "seeds=[1,2,3]",
        "--json",
        cwd=folder,
    )
    statuses = [cell["status"] for cell in json.loads(more.stdout)["cells"]]
    assert sorted(statuses) == ["finished"] * 3 + ["to do"]
    [missing] = [c for c in json.loads(more.stdout)["cells"] if c["status"] == "to do"]
    assert missing["predicted_seconds_basis"] == "measured"
    assert missing["predicted_seconds"] > 0
    assert missing["predicted_memory_bytes"] > 1e6
    assert missing["parameters"]["rank"] == 4


def test_plan_tells_what_only_has_to_be_asked(done: tuple[Path, str]) -> None:
    folder, _ = done
    more = ("plan", "small.yaml", "--store", "store", "--set", "limits.test=16")
    found = json.loads(peftbench(*more, "--json", cwd=folder).stdout)["cells"]
    assert sorted(cell["needs"] for cell in found) == ["ask", "ask", "run"]
    said = peftbench(*more, cwd=folder).stdout
    assert "3 cells, 0 done, 3 to do (1 to run, 2 only to ask)" in said
    assert "without what is only asked or graded" in said


def test_plan_says_what_it_takes_to_tell_methods_apart(done: tuple[Path, str]) -> None:
    folder, _ = done
    asked = ("plan", "small.yaml", "--store", "store", "--margin", "5")
    said = peftbench(*asked, cwd=folder)
    assert "To tell two methods 5 points apart" in said.stdout
    assert " 12 " in said.stdout  # test rows
    [one] = json.loads(peftbench(*asked, "--json", cwd=folder).stdout)["evidence"]
    assert (one["task"], one["seeds"], one["rows"]) == ("generated_sums", 2, 12)
    assert one["needed"]["margin"] == 0.05


def test_plan_knows_the_rows_of_a_task_that_is_not_here() -> None:
    said = peftbench(
        "plan", "--model", "tiny", "--methods", "lora", "--tasks", "sst2",
        "--margin", "1", "--json",
    )  # fmt: skip
    [one] = json.loads(said.stdout)["evidence"]
    assert (one["rows"], one["basis"]) == (872, "assumed")
    assert one["needed"]["detectable"] > 0.01


def test_recommend_names_a_method_within_the_budget(done: tuple[Path, str]) -> None:
    folder, _ = done
    said = peftbench("recommend", "--store", "store", "--max-trainable", "1e6", cwd=folder)
    assert said.returncode == 0, said.stderr
    assert "Use " in said.stdout
    assert "within trainable parameters ≤ 1.00 M" in said.stdout
    found = json.loads(
        peftbench("recommend", "--store", "store", "--json", cwd=folder).stdout
    )
    assert found["chosen"] in ("base", "small lora")
    assert {c["method"] for c in found["candidates"]} == {"base", "small lora"}


def test_recommend_says_what_is_over_budget(done: tuple[Path, str]) -> None:
    folder, _ = done
    said = peftbench(
        "recommend", "--store", "store", "--max-trainable", "10", "--json", cwd=folder
    )
    found = json.loads(said.stdout)
    assert found["chosen"] == "base"
    assert found["left_out"] == [
        {"method": "small lora", "over": ["trainable_parameters"], "unknown": []}
    ]
    none = peftbench("recommend", "--store", "store", "--max-memory-gb", "0", cwd=folder)
    assert none.returncode == 1
    assert "No method of this store fits peak memory ≤ 0 B" in none.stdout
    wrong = peftbench("recommend", "--store", "store", "--prefer", "pscp", cwd=folder)
    assert wrong.returncode == 2
    assert "no cost" in wrong.stderr


def test_pareto_shows_a_front_over_any_two_columns(done: tuple[Path, str]) -> None:
    folder, _ = done
    asked = ("pareto", "--store", "store", "--x", "peak_memory_bytes")
    [found] = json.loads(peftbench(*asked, "--json", cwd=folder).stdout)
    assert "base" in found["front"]
    assert set(found["points"]) == {"base", "small lora"}
    assert found["hypervolume"] >= 0
    assert "on the front" in peftbench(*asked, cwd=folder).stdout
    wrong = peftbench("pareto", "--store", "store", "--x", "peak_memory", cwd=folder)
    assert wrong.returncode == 2
    assert "Did you mean 'peak_memory_bytes'" in wrong.stderr


def test_plan_prints_all_settings_and_predictions() -> None:
    said = peftbench("plan", "quickstart")
    assert said.returncode == 0
    assert "51 cells, 0 done, 51 to do" in said.stdout
    assert "learning_rate: 0.0002  (" in said.stdout
    assert "steps: 160" in said.stdout
    assert "weight_decay: 0.0" in said.stdout
    assert " min" in said.stdout or " s " in said.stdout


@pytest.mark.parametrize(
    ("format_", "beginning"),
    [("md", "# small"), ("latex", "% Needs"), ("csv", "benchmark,"), ("json", "{")],
)
def test_report_writes_every_format(
    done: tuple[Path, str], format_: str, beginning: str
) -> None:
    said = peftbench("report", "--store", "store", "--format", format_, cwd=done[0])
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith(beginning)
    assert "small lora" in said.stdout


def test_show_tells_all_of_a_cell(done: tuple[Path, str]) -> None:
    plan = peftbench("plan", "small.yaml", "--store", "store", "--json", cwd=done[0])
    cells = json.loads(plan.stdout)["cells"]
    cell = next(c["id"] for c in cells if c["method"] == "small lora")
    said = peftbench("show", cell[:10], "--store", "store", cwd=done[0])
    assert said.returncode == 0, said.stderr
    for part in (cell, "numeric_match", "training loss", "rank: 4", "wrote ", "target ",
                 "baseline, constant", "initial_adapter_sha256"):  # fmt: skip
        assert part in said.stdout, part
    raw = peftbench("show", cell[:10], "--store", "store", "--json", cwd=done[0])
    assert len(json.loads(raw.stdout)["predictions"]) == 5


def test_export_writes_tables_that_agree_with_the_store(
    done: tuple[Path, str], tmp_path: Path
) -> None:
    import pandas as pd

    said = peftbench("export", "--store", "store", "-o", str(tmp_path / "out"), cwd=done[0])
    assert said.returncode == 0, said.stderr
    records = [
        json.loads(line)
        for line in (tmp_path / "out/records.jsonl").read_text().splitlines()
    ]
    scores = pd.read_parquet(tmp_path / "out/scores.parquet")
    predictions = pd.read_parquet(tmp_path / "out/predictions.parquet")
    assert len(records) == 3
    assert len((tmp_path / "out/costs.jsonl").read_text().splitlines()) == 2
    assert set(scores[scores["is_headline"]]["value"]) == {
        record["scores"][0]["value"] for record in records
    }
    assert len(predictions) == 3 * 12
    mean = predictions.groupby("cell")["score"].mean()
    for record in records:
        index = scores[scores["is_headline"] & (scores["seed"] == record["cell"]["seed"])]
        for _, row in index.iterrows():
            assert mean[row["cell"]] == pytest.approx(row["value"])


def test_python_gives_what_the_command_gave(done: tuple[Path, str]) -> None:
    code = (
        "import peftbench\n"  # no `if __name__`: workers must not run it again
        "frame = peftbench.run('small.yaml', store='store', workers=1).to_frame()\n"
        "print(frame[['method', 'seed', 'score']].to_csv(index=False))\n"
    )
    (done[0] / "script.py").write_text(code)
    said = subprocess.run(
        [sys.executable, "script.py"], cwd=done[0], capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    text = peftbench("report", "--store", "store", "--format", "csv", cwd=done[0]).stdout
    assert said.stdout.strip().splitlines() == ["method,seed,score"] + [
        f"{row['method']},{row['seed']},{row['score']}"
        for row in csv.DictReader(io.StringIO(text))
        if row["is_headline"] == "True"
    ]


def test_python_script_without_a_main_guard_runs_its_workers(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SPEC)
    (tmp_path / "script.py").write_text(
        "import peftbench\n"
        "results = peftbench.run('small.yaml', measure_costs=False)\n"
        "print(results.summary.finished_cells, 'of', results.summary.cells)\n"
    )
    said = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert said.stdout == "3 of 3\n", said.stderr


def test_compare_shows_the_rows_that_differ(done: tuple[Path, str]) -> None:
    folder, _ = done
    first, second = "base/generated_sums/-", "small lora/generated_sums/2"
    said = peftbench("compare", first, second, "--store", "store", cwd=folder)
    assert said.returncode == 0, said.stderr
    raw = peftbench("compare", first, second, "--store", "store", "--json", cwd=folder)
    rows = json.loads(raw.stdout)
    assert f"{len(rows)} of 12 rows are answered differently" in said.stdout
    assert "nan" not in said.stdout
    for row in rows:
        assert row["answer_first"] != row["answer_second"]
        assert f"row {row['row']}" in said.stdout
    same = peftbench("compare", first, first, "--store", "store", cwd=folder)
    assert "0 of 12 rows are answered differently" in same.stdout
    wrong = peftbench("compare", first, "small lora/sums/2", "--store", "store", cwd=folder)
    assert wrong.returncode == 2
    assert "Did you mean 'small lora/generated_sums/2'?" in wrong.stderr


def test_retry_and_fresh_run_again_what_they_name(done: tuple[Path, str]) -> None:
    plan = peftbench("plan", "small.yaml", "--store", "store", "--json", cwd=done[0])
    cell = json.loads(plan.stdout)["cells"][0]["id"]
    one = peftbench(
        "run", "small.yaml", "--store", "store", "--retry", cell[:8], cwd=done[0]
    )
    assert "3 cells, 2 done, 1 to do" in one.stdout
    none = peftbench(
        "run", "small.yaml", "--store", "store", "--retry", "failed", cwd=done[0]
    )
    assert "3 done, 0 to do" in none.stdout
    asked = peftbench("run", "small.yaml", "--store", "store", "--fresh", cwd=done[0])
    assert asked.returncode == 1, "there is nobody to answer"
    assert "Forget 3 results" in asked.stdout
    after = peftbench("plan", "small.yaml", "--store", "store", "--json", cwd=done[0])
    assert {c["status"] for c in json.loads(after.stdout)["cells"]} == {"finished"}
    wrong = peftbench("run", "small.yaml", "--store", "store", "--retry", "x", cwd=done[0])
    assert wrong.returncode == 2
    assert "none of failed" in wrong.stderr


def test_failed_cell_is_named_with_its_reason_and_exit_code_is_1(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        SPEC.replace("steps: 4", "learning_rate: 10, max_grad_norm: null, steps: 40")
        .replace("rank: 4}", f"rank: 4, alpha: {10**38}}}")
        .replace("[1, 2]", "[1]")
    )
    said = peftbench("run", "bad.yaml", "--no-costs", "--store", "s", cwd=tmp_path)
    assert said.returncode == 1, said.stdout + said.stderr
    assert "diverged: tiny · small lora · generated_sums · seed 1" in said.stdout
    assert "--retry" in said.stdout
    again = peftbench("run", "bad.yaml", "--no-costs", "--store", "s", cwd=tmp_path)
    assert "2 cells, 2 done, 0 to do" in again.stdout
    assert again.returncode == 1
    retried = peftbench(
        "run", "bad.yaml", "--no-costs", "--store", "s", "--retry", "diverged", cwd=tmp_path
    )
    assert "1 done, 1 to do" in retried.stdout


LISTS: Sequence[tuple[str, str]] = [
    ("models", "tiny"), ("tasks", "gsm8k"), ("methods", "prefix-tuning"),
    ("metrics", "numeric_match"), ("suites", "quickstart"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "member"), LISTS)
def test_list_shows_names_as_table_and_json(kind: str, member: str) -> None:
    assert member in peftbench("list", kind).stdout
    rows = json.loads(peftbench("list", kind, "--json").stdout)
    assert member in [row["name"] for row in rows]
    assert all(len(row) >= 2 for row in rows)


def test_generated_tasks_are_called_generated() -> None:
    rows = json.loads(peftbench("list", "tasks", "--json").stdout)
    generated = [row for row in rows if row["name"].startswith("generated_")]
    assert len(generated) == 3
    assert all(row["source"] == "generated" for row in generated)


def test_show_task_renders_an_example_with_counts(shared_dir: Path) -> None:
    said = peftbench("show-task", "sst2", "--data-dir", str(shared_dir / "data"))
    assert said.returncode == 0, said.stderr
    for part in ("nyu-mll/glue", "prompt", "completion", "tokens of prompt", "classes: "):
        assert part in said.stdout


def test_doctor_says_what_is_there_and_what_is_missing() -> None:
    said = peftbench("doctor")
    assert said.returncode == 0, said.stdout
    for part in (
        "torch ",
        "cpu: ",
        "disk: ",
        "programs that a model writes: ",
        "nothing is missing",
    ):
        assert part in said.stdout
    missing = peftbench("doctor", env={"PEFTBENCH_DATA_DIR": "/no/such/folder"})
    assert missing.returncode == 1
    assert "problem: PEFTBENCH_DATA_DIR names /no/such/folder" in missing.stdout


def test_schema_accepts_the_shipped_suite_and_refuses_a_typo() -> None:
    schema = json.loads(peftbench("schema").stdout)
    training = schema["$defs"]["TrainingSection"]
    assert training["additionalProperties"] is False
    assert "Peak learning rate" in training["properties"]["learning_rate"]["description"]
    assert {"models", "methods", "tasks"} <= set(schema["required"])


def test_version_and_help_are_instant_because_nothing_heavy_is_imported() -> None:
    assert peftbench("--version").stdout.startswith("peftbench 0.")
    code = (
        "import sys; sys.argv = ['peftbench', '--help']\n"
        "from peftbench.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'pandas', 'scipy', 'plotly', 'datasets'}\n"
        "print(heavy & set(sys.modules), file=sys.stderr)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert said.stderr == "set()\n"
    for command in ("run", "plan", "report", "show", "list", "export", "doctor", "store"):
        assert command in said.stdout


BAD: Sequence[tuple[dict[str, str] | str, Sequence[str], str]] = [
    ("nothing.yaml", (), "No spec file 'nothing.yaml'"),
    ("quickstrat", (), "Did you mean 'quickstart'"),
    ({"methods: [base": "methods: [lorra, base"}, (), "Did you mean 'lora'"),
    ({"[tiny]": "[tyni]"}, (), "Did you mean 'tiny'"),
    ({"generated_sums": "generated_sum"}, (), "Did you mean 'generated_sums'"),
    ({"seeds": "sedes"}, (), "did you mean 'seeds'"),
    ({"steps: 4": "stepps: 4"}, (), "training.stepps: unknown field; did you mean 'steps'"),
    ({"steps: 4": "steps: 0"}, (), "training.steps"),
    ({"steps: 4": "steps: many"}, (), "training.steps"),
    ({"rank: 4": "rank: 0"}, (), "rank"),
    ({"rank: 4": "rnak: 4"}, (), "has no setting 'rnak'"),
    ({"[1, 2]": "[1, 1]"}, (), "more than once"),
    ({"[1, 2]": "[]"}, (), "seeds"),
    ({"label: small lora": "label: base"}, (), "two entries have the label 'base'"),
    ({"models: [tiny]": "models: [tiny"}, (), "not valid YAML"),
    ({}, ("--set", "training.step=3"), "did you mean 'steps'"),
    ({}, ("--set", "training"), "--set needs FIELD=VALUE"),
    ({}, ("--data-dir", "nowhere"), "data folder 'nowhere' does not exist"),
    ({}, ("--store", "/sys/store"), "cannot be written"),
    ({"[tiny]": "[./no-model]"}, (), "No model folder './no-model'"),
    ({"[tiny]": "[someone/something]"}, (), "not in the local cache"),
    ({"generated_sums": "sst2"}, ("--data-dir", "."), "sst2"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "more", "message"), BAD)
def test_bad_input_is_explained_with_exit_code_2(
    changes: Any, more: Sequence[str], message: str, tmp_path: Path
) -> None:
    spec = changes
    if isinstance(changes, dict):
        text = SPEC
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        spec = "spec.yaml"
        (tmp_path / spec).write_text(text)
    said = peftbench("run", spec, *more, cwd=tmp_path)
    assert said.returncode == 2, said.stdout + said.stderr
    assert message in said.stderr
    assert "Traceback" not in said.stderr
    assert not (tmp_path / "runs").exists(), "nothing is made for a spec that is refused"


def test_spec_that_is_not_utf8_says_so(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("description: Übung\n".encode("latin-1"))
    said = peftbench("run", "latin.yaml", cwd=tmp_path)
    assert said.returncode == 2
    assert "is not UTF-8 text (byte 13)" in said.stderr


def test_arguments_instead_of_a_spec(tmp_path: Path) -> None:
    said = peftbench(
        "plan", "--model", "tiny", "--methods", "base,lora", "--tasks", "generated_sums",
        "--seeds", "1,2", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert len(json.loads(said.stdout)["cells"]) == 3
    neither = peftbench("plan", "--model", "tiny", cwd=tmp_path)
    assert neither.returncode == 2
    both = peftbench("plan", "quickstart", "--tasks", "gsm8k", cwd=tmp_path)
    assert both.returncode == 2
    assert "not both" in both.stderr


def test_two_specs_with_one_name_are_refused(
    done: tuple[Path, str], tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(SPEC.replace("steps: 4", "steps: 5"))
    said = peftbench("run", "small.yaml", "--store", str(done[0] / "store"), cwd=tmp_path)
    assert said.returncode == 2
    assert "Two specs are called 'small'" in said.stderr
