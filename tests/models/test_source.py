"""From a model's name to its bytes; and what is said where there are none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from peftbench.errors import ModelError, UnknownName
from peftbench.models import names, resolve
from peftbench.spec import ModelChoice


def source_of(name: Path | str, revision: str | None = None) -> Any:
    return resolve(ModelChoice(name=str(name), revision=revision))


def test_an_embedded_model_is_found_by_name() -> None:
    assert names() == ("tiny",)
    source = source_of("tiny")
    assert source.identity.startswith("sha256:")
    assert source.revision is None
    assert source.config["model_type"] == "llama"


def test_a_folder_is_found_by_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(folder)
    assert source.location == str(folder)
    monkeypatch.chdir(folder.parent)
    assert source_of("./model").identity == source.identity
    assert source_of("model").identity == source.identity
    monkeypatch.setenv("HOME", str(folder.parent))
    assert source_of("~/model").identity == source.identity


def test_identity_is_that_of_the_bytes(folder: Path) -> None:
    """Not of the path or the time: a copy elsewhere is the same model."""
    first = source_of(folder).identity
    os.utime(folder / "model.safetensors", (1, 1))
    assert source_of(folder).identity == first
    moved = folder.rename(folder.with_name("elsewhere"))
    assert source_of(moved).identity == first


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_changed_file_is_another_model(folder: Path, file: str) -> None:
    first = source_of(folder).identity
    content = bytearray((folder / file).read_bytes())
    if file == "model.safetensors":
        content[-1] ^= 1  # the last bit of a weight; the size stays the same
    else:
        content += b"\n"
    (folder / file).write_bytes(content)
    assert source_of(folder).identity != first


def test_a_changed_card_is_the_same_model(folder: Path) -> None:
    first = source_of(folder).identity
    (folder / "README.md").write_text("More words.")
    assert source_of(folder).identity == first


class TestBadFolders:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"No model folder .*is the path right"):
            source_of(tmp_path / "nowhere")

    def test_empty(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"no config\.json.*save_pretrained"):
            source_of(tmp_path)

    def test_without_a_tokenizer(self, folder: Path) -> None:
        (folder / "tokenizer.json").unlink()
        with pytest.raises(ModelError, match=r"no tokenizer .*tokenizer\.save_pretrained"):
            source_of(folder)

    def test_with_pickled_weights_only(self, folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        with pytest.raises(ModelError, match=r"no safetensors .*convert them with"):
            source_of(folder)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"{", "is not valid JSON"),
            (b"\xff\xfe", "is not UTF-8"),
            (b'{"vocab_size": 1e999}', "is not valid JSON: inf"),
            (b'{"vocab_size": 0}', ": vocab_size is 0; expected a whole number"),
            (b'{"n_layer": "12"}', ": n_layer is '12'; expected a whole"),
            (b"[]", "holds a JSON list"),
        ],
    )
    def test_with_an_unreadable_config(
        self, folder: Path, content: bytes, said: str
    ) -> None:
        (folder / "config.json").write_bytes(content)
        with pytest.raises(ModelError, match=rf"config\.json ?{said}"):
            source_of(folder)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ('{"num_hidden_layers": 10000000}', "a model of 10,000,000 layers"),
            ('{"hidden_size": 1' + "0" * 400 + "}", "401 digits"),
            ('{"architectures": "LlamaForCausalLM"}', "expected a list of names"),
            ('{"architectures": [1]}', "expected a list of names"),
        ],
    )
    def test_with_sizes_that_no_model_has(
        self, folder: Path, content: str, said: str
    ) -> None:
        (folder / "config.json").write_text(content)
        with pytest.raises(ModelError, match=rf"config\.json.*{said}"):
            source_of(folder)

    def test_with_a_folder_as_config(self, folder: Path) -> None:
        (folder / "config.json").unlink()
        (folder / "config.json").mkdir()
        with pytest.raises(ModelError, match=r"has no config\.json"):
            source_of(folder)

    @pytest.mark.parametrize(
        "architecture", ["BertModel", "BertForMaskedLM", "T5ForConditionalGeneration"]
    )
    def test_not_a_causal_model(self, folder: Path, architecture: str) -> None:
        config = json.loads((folder / "config.json").read_text())
        config["architectures"] = [architecture]
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(ModelError, match=f"not a causal .*{architecture}.*ForCausalLM"):
            source_of(folder)

    def test_with_a_revision(self, folder: Path) -> None:
        with pytest.raises(ModelError, match=r"is a folder and has no revisions.*'main'"):
            source_of(folder, "main")


def test_an_unknown_name_is_suggested() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'tiny'"):
        source_of("tinny")


def test_offline_mode_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub is switched off in all tests, as HF_HUB_OFFLINE=1 does."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="offline mode") as caught:
        source_of("nobody/nothing")
    assert "hf download nobody/nothing" in str(caught.value)
    assert "path of a folder" in str(caught.value)


# --- A hub of our own, so that the errors are those of the real client. ---

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}).encode()
WHOLE = ("config.json", "model.safetensors", "tokenizer.json")
FILES = {
    "lab/good": WHOLE,
    "lab/pickled": ("config.json", "pytorch_model.bin", "tokenizer.json"),
    "lab/speechless": ("config.json", "model.safetensors"),
}
REFUSALS = {
    "lab/gated": (403, "GatedRepo"),
    "lab/missing": (401, "RepoNotFound"),
    "lab/other-revision": (404, "RevisionNotFound"),
    "lab/no-config": (404, "EntryNotFound"),
    "lab/broken": (500, ""),
}


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as finding a model needs."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        repository = next(r for r in (*FILES, *REFUSALS) if f"/{r}/" in self.path)
        if repository in REFUSALS:
            status, code = REFUSALS[repository]
            self.answer(status, b"", {"X-Error-Code": code} if code else {})
        elif "/tree/" in self.path:
            listed = [
                {"type": "file", "path": path, "size": 1, "oid": "0" * 40}
                for path in FILES[repository]
            ]
            self.answer(200, json.dumps(listed).encode(), {})
        else:
            self.answer(200, CONFIG, {"X-Repo-Commit": COMMIT, "ETag": '"1"'})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


ASK = """
import json, sys, time
time.sleep = lambda seconds: None  # the client's pauses between attempts
from peftbench.models import resolve
from peftbench.spec import ModelChoice
from peftbench.errors import ModelError
said = {}
for name in sys.argv[1:]:
    try:
        source = resolve(ModelChoice(name=name, revision="v2"))
        said[name] = f"{source.location} {source.revision} {source.identity}"
    except ModelError as error:
        said[name] = str(error)
print(json.dumps(said))
"""


def ask(endpoint: str, home: Path, *models: str, **environment: str) -> dict[str, str]:
    """What another process, which may use the hub, says of these models."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, *models],
        env={
            **os.environ,
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_ETAG_TIMEOUT": "1",
            "HF_HUB_DOWNLOAD_TIMEOUT": "1",
            "NO_PROXY": "*",
            **environment,
        },
        capture_output=True,
        text=True,
        check=True,
        cwd=home,
    )
    said: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def said(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("home")
    return ask(endpoint, home, *FILES, *REFUSALS)


def test_a_hub_model_is_pinned_to_its_commit(said: dict[str, str]) -> None:
    assert said["lab/good"] == f"lab/good {COMMIT} lab/good@{COMMIT}"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("lab/gated", ("is gated", "https://huggingface.co/lab/gated", "hf auth login")),
        ("lab/missing", ("is not on the hub, or is private", "hf auth login")),
        ("lab/other-revision", ("has no revision 'v2'",)),
        ("lab/no-config", ("has no config.json on the hub",)),
        ("lab/broken", ("cannot be reached", "500", "hf download lab/broken")),
        ("lab/pickled", ("has no safetensors weights",)),
        ("lab/speechless", ("has no tokenizer",)),
    ],
)
def test_what_is_wrong_with_a_hub_model_is_said(
    said: dict[str, str], model: str, expected: tuple[str, ...]
) -> None:
    for words in (model, *expected):
        assert words in said[model]
    if model not in ("lab/pickled", "lab/speechless"):
        assert "or give the path of a folder" in said[model]


def test_a_hub_that_is_down_is_said(tmp_path: Path) -> None:
    said = ask("http://127.0.0.1:9", tmp_path, "lab/good")
    assert "the hub cannot be reached" in said["lab/good"]
    assert "hf download lab/good" in said["lab/good"]


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_hub_that_is_too_slow_is_said(
    wrapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client wraps a time-out of one of its requests, and not that of another."""

    class ReadTimeout(Exception):
        """As the client's transport calls it."""

    def too_slow(*_: Any, **__: Any) -> None:
        if not wrapped:
            raise ReadTimeout("timed out")
        raise LocalEntryNotFoundError("not cached") from ReadTimeout("timed out")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", too_slow)
    with pytest.raises(ModelError, match="did not answer in time") as caught:
        source_of("lab/slow")
    assert "hf download lab/slow" in str(caught.value)


def test_the_cache_serves_offline_if_it_holds_the_weights(
    endpoint: str, tmp_path: Path
) -> None:
    ask(endpoint, tmp_path, "lab/good")  # caches the config alone
    said = ask(endpoint, tmp_path, "lab/good", HF_HUB_OFFLINE="1")["lab/good"]
    assert "holds the config of lab/good and not its weights" in said
    assert "hf download lab/good" in said
    (snapshot,) = (tmp_path / "hub" / "models--lab--good" / "snapshots").iterdir()
    for file in WHOLE[1:]:
        (snapshot / file).write_bytes(b"")
    said = ask(endpoint, tmp_path, "lab/good", HF_HUB_OFFLINE="1")["lab/good"]
    assert said == f"lab/good {COMMIT} lab/good@{COMMIT}"


def test_resolving_imports_no_torch() -> None:
    program = (
        "import sys; from peftbench.models import resolve;"
        "from peftbench.spec import ModelChoice; resolve(ModelChoice(name='tiny'));"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
