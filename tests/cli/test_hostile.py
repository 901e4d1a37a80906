"""Names, paths and files that nobody sane would give: an error, and nothing that is obeyed."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from command_line import peftbench
from imports.hf_files import LORA, result, write
from peftbench.cli._print import Terminal, plain_table
from peftbench.cli._say import say
from peftbench.imports import Imported, keep
from peftbench.imports import hf_method_comparison as tool
from peftbench.report import FORMATS, render
from peftbench.results import results
from peftbench.store import Store
from peftbench.visible import visible

#: Puts text on the clipboard, colours what follows, writes from right to left, and is a name.
HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b[31m\x9b2J\u202e:x: [bold]lora[/bold]"
OBEYED = set("\x1b\x07\x9b\u202e\x00\r")


def imported(folder: Path) -> Path:
    """A store with one run of somebody else, who gave it that name."""
    write(folder / "results", a=result(HOSTILE, peft_config=LORA))
    runs: list[Imported] = tool.read(folder)
    with Store.open(folder / "store") as store:
        keep(store, "theirs", {"description": HOSTILE}, runs)
    return folder / "store"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return imported(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("kind", FORMATS)
def test_no_format_of_a_report_holds_what_a_terminal_obeys(store: Path, kind: str) -> None:
    with Store.open(store, create=False) as opened:
        text = render(results(opened, "theirs").summary, kind)
    assert "lora" in text
    own = OBEYED - {"\x00"} if kind == "html" else OBEYED  # plotly's own code
    beside = text.partition("/*! For license")[0] if kind == "html" else text
    assert not own & set(beside)
    assert "u001b" in text or kind == "latex"  # which leaves them out


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "--format", "md"),
        ("report", "--format", "csv"),
        ("show", "lora"),
        ("pareto", "--x", "score", "--y", "seconds"),
        ("recommend",),
        ("store", "check"),
        ("gc",),
        ("rescore",),
    ],
)
def test_no_command_says_what_a_terminal_obeys(
    store: Path, arguments: tuple[str, ...]
) -> None:
    said = peftbench(*arguments, "--store", str(store))
    assert said.stdout + said.stderr
    assert not OBEYED & set(said.stdout + said.stderr)


def test_an_import_with_such_a_name_says_it_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b]52;c;eA==\x07"
    write(folder, a=result(status="odd"))
    said = peftbench(
        "import", "hf-method-comparison", str(folder), "--store", "s", cwd=tmp_path
    )
    assert said.returncode == 2
    assert r"a\u001b]52;c;eA==\u0007" in said.stderr
    assert not OBEYED & set(said.stderr)


def test_what_rich_prints_is_the_text_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """No emoji, no markup, no escapes but rich's own."""
    out = io.StringIO()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", out)
    console = Terminal(highlight=False)
    console.print(HOSTILE, style="bold")
    plain_table(console, [HOSTILE], [[HOSTILE]])
    text = out.getvalue()
    assert text.count(":x: [bold]lora[/bold]") == 3
    assert text.count(r"\u001b]52;c;ZXZpbA==") == 3
    assert not (OBEYED - {"\x1b"}) & set(text)
    assert "\x1b]" not in text
    assert "\x1b[31m" not in text
    assert "\x1b[1m" in text


def test_plain_lines_are_visible(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\r\nb\tc\udcff\x1b[2J")
    assert capsys.readouterr().out == "a\nb\tc\\udcff\\u001b[2J\n"
    assert visible("Größe ␛ עברית\n") == "Größe ␛ עברית\n"


def test_nothing_leaves_to_the_terminal_by_another_way() -> None:
    folder = Path(__file__).parents[2] / "src" / "peftbench" / "cli"
    for path in folder.glob("*.py"):
        text = path.read_text("utf-8")
        if path.name != "_say.py":
            assert " print(" not in text, path
            assert "echo(" not in text, path
        if path.name != "_print.py":
            assert "Console" not in text, path


LONG = "x" * 5000
COMMANDS = [
    ("run", "{}"),
    ("run", "{}/spec.yaml", "--store", "s"),
    ("run", "quickstart", "--store", "{}"),
    ("plan", "{}"),
    ("plan", "quickstart", "--data-dir", "{}"),
    ("cost", "--model", "{}", "--methods", "base"),
    ("report", "--store", "{}"),
    ("show", "{}", "--store", "{}"),
    ("compare", "{}", "{}", "--store", "{}"),
    ("export", "--store", "{}"),
    ("rescore", "--store", "{}"),
    ("robustness", "--store", "{}"),
    ("pareto", "--store", "{}"),
    ("recommend", "--store", "{}"),
    ("gc", "--store", "{}"),
    ("check-task", "{}/x.yaml"),
    ("check-method", "{}/x.py"),
    ("show-task", "{}/x.yaml"),
    ("show-method", "{}"),
    ("list", "methods", "--plugin", "{}/x.py"),
    ("store", "merge", "{}", "--store", "{}"),
    ("store", "copy", "{}", "--store", "{}"),
    ("store", "check", "--store", "{}"),
    ("store", "upgrade", "--store", "{}"),
    ("import", "bundle", "{}", "--store", "{}"),
    ("import", "peft-factory", "{}", "--store", "{}"),
    ("import", "hf-method-comparison", "{}", "--store", "{}"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command))
@pytest.mark.parametrize(
    "path", [LONG, "/dev/null/x", "a\udcff\udc80"], ids=["long", "no folder", "no text"]
)
def test_an_odd_path_is_an_error_in_words(
    tmp_path: Path, command: tuple[str, ...], path: str
) -> None:
    said = peftbench(*(part.format(path) for part in command), cwd=tmp_path)
    assert said.returncode == 2, said.stdout
    assert said.stderr
    if "\udcff" in path:
        assert "is not UTF-8: give the file or folder another name." in said.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('models: ["a/\\0"]', "zero byte"),
        ("models: [~nobody_of_this_name/x]", "there is no such user here"),
        (f"models: [./{LONG}]", "File name too long"),
        ('methods: [{adapter: "~nobody_of_this_name/x"}]', "there is no such user here"),
        (f"methods: [{{peft_config: ./{LONG}}}]", "File name too long"),
        ("tasks: [~nobody_of_this_name/x.yaml]", "x.yaml"),
        (f"tasks: [{LONG}.yaml]", "File name too long"),
    ],
)
def test_an_odd_path_in_a_spec_is_an_error_in_words(
    tmp_path: Path, line: str, message: str
) -> None:
    parts = {"models": "[tiny]", "methods": "[base]", "tasks": "[generated_mood]"}
    parts.pop(line.partition(":")[0])
    spec = "".join(f"{name}: {value}\n" for name, value in parts.items()) + line
    (tmp_path / "spec.yaml").write_text(spec, "utf-8")
    said = peftbench("plan", "spec.yaml", cwd=tmp_path)
    assert said.returncode == 2, said.stdout
    assert message in said.stderr
