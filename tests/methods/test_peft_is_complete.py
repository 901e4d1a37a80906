"""What the installed `peft` has is in the catalogue, or it is said here why not.

A new version of `peft` that brings a tuner, an initialisation, a flag of LoRA or an optimiser
makes a test fail. Then add the method, one file in `methods/`, and its name here; or say why
it is none of its own.
"""

from __future__ import annotations

import typing
from dataclasses import fields

import peft
import pytest
from peft import LoraConfig, PeftType

from peftbench import methods
from peftbench.methods import PeftMethod
from peftbench.testing import tiny_llama

HINT = "; add the method, or a reason why it is none, to tests/methods/test_peft_is_complete.py"

FAMILIES: dict[str, str] = {
    "PROMPT_TUNING": "prompt-tuning",
    "MULTITASK_PROMPT_TUNING": "mpt",
    "P_TUNING": "p-tuning",
    "PREFIX_TUNING": "prefix-tuning",
    "LORA": "lora",
    "ADALORA": "adalora",
    "ADAMSS": "adamss",
    "BOFT": "boft",
    "ADAPTION_PROMPT": "adaption-prompt",
    "IA3": "ia3",
    "BEFT": "beft",
    "LILY": "lily",
    "LOHA": "loha",
    "LOKR": "lokr",
    "OFT": "oft",
    "POLY": "poly",
    "LN_TUNING": "ln-tuning",
    "VERA": "vera",
    "FROD": "frod",
    "PVERA": "pvera",
    "FOURIERFT": "fourierft",
    "GLORA": "glora",
    "HRA": "hra",
    "VBLORA": "vblora",
    "UNILORA": "unilora",
    "CPT": "cpt",
    "MISS": "miss",
    "RANDLORA": "randlora",
    "ROAD": "road",
    "TRAINABLE_TOKENS": "trainable-tokens",
    "HIRA": "hira",
    "SHIRA": "shira",
    "C3A": "c3a",
    "WAVEFT": "waveft",
    "OSF": "osf",
    "DELORA": "delora",
    "GRALORA": "gralora",
    "CARTRIDGE": "cartridge",
    "TINYLORA": "tinylora",
    "PSOFT": "psoft",
    "PEANUT": "peanut",
    "SUPERTUNING": "super-tuning",
    "DEFT": "deft",
    "XLORA": "x-lora",
}
NO_FAMILIES: dict[str, str] = {
    "SHADOW": "trains a copy of a block in the precision of the base; ours are trained in float32",
}

INITIALISATIONS: dict[str, str] = {
    "eva": "eva",
    "olora": "olora",
    "pissa": "pissa",
    "corda": "corda",
    "loftq": "loftq",
    "orthogonal": "orthogonal-lora",
    "mica": "mica",
}
NO_INITIALISATIONS: dict[str, str] = {
    "gaussian": "A is drawn from another distribution of the same scale, and nothing else",
    "pissa_niter_[number of iters]": "PiSSA by an approximate decomposition",
}

FLAGS: dict[str, str] = {
    "use_rslora": "rslora",
    "use_dora": "dora",
    "loftq_config": "loftq",
    "eva_config": "eva",
    "corda_config": "corda",
    "lora_ga_config": "lora-ga",
    "velora_config": "velora",
    "alora_invocation_tokens": "alora",
    "monteclora_config": "monteclora",
    "use_bdlora": "bd-lora",
    "kasa_config": "kasa",
    "trainable_token_indices": "trainable-tokens",
}
NO_FLAGS: dict[str, str] = {
    "use_qalora": "pools inputs for bases quantised by GPTQ, which are files of their own",
    "qalora_group_size": "belongs to use_qalora, which is left out",
    "arrow_config": "routes between finished LoRA experts of other tasks",
    "layer_replication": "makes a deeper base, not an adapter",
    "lora_bias": "trains biases beside LoRA; they could not be merged where a layer has none",
    "bias": "trains the base's own biases beside LoRA, which `detach` could not undo",
    "target_parameters": "aims at experts' weights in mixtures, which the models here lack",
    "rank_pattern": "sets ranks layer by layer",
    "alpha_pattern": "sets alphas layer by layer",
    "ensure_weight_tying": "concerns tied embeddings, which are no targets",
    "megatron_config": "for a training system of its own",
    "megatron_core": "for a training system of its own",
    "runtime_config": "moves computations between devices",
    "modules_to_save": "trains whole layers beside the adapter",
    "exclude_modules": "another way to name targets",
    "layers_to_transform": "another way to name targets",
    "layers_pattern": "another way to name targets",
    "fan_in_fan_out": "says how a base keeps its weights; peft sets it",
}
SETTINGS = {"r", "lora_alpha", "lora_dropout", "target_modules", "init_lora_weights"}

OPTIMISERS: dict[str, str] = {
    "create_lorafa_optimizer": "lora-fa",
    "create_loraplus_optimizer": "lora-plus",
    "create_riemannian_optimizer": "riemannian-lora",
}


def options() -> set[str]:
    """The names that `init_lora_weights` may have."""
    hint = typing.get_type_hints(LoraConfig)["init_lora_weights"]
    literals = [part for part in typing.get_args(hint) if typing.get_args(part)]
    return {name for literal in literals for name in typing.get_args(literal)}


def test_every_family_of_peft_is_a_method_or_has_a_reason() -> None:
    found = {member.name for member in PeftType}
    assert found == FAMILIES.keys() | NO_FAMILIES.keys(), HINT


def test_every_initialisation_of_lora_is_a_method_or_has_a_reason() -> None:
    assert options() == INITIALISATIONS.keys() | NO_INITIALISATIONS.keys(), HINT


def test_every_flag_of_lora_is_a_method_or_a_setting_or_has_a_reason() -> None:
    own = {field.name for field in fields(LoraConfig)}
    own -= {field.name for field in fields(peft.PeftConfig)}
    assert own == FLAGS.keys() | NO_FLAGS.keys() | SETTINGS, HINT


def test_every_optimiser_of_peft_is_a_method() -> None:
    from peft import optimizers

    assert set(optimizers.__all__) == OPTIMISERS.keys(), HINT


@pytest.mark.parametrize(("member", "name"), FAMILIES.items())
def test_the_method_is_of_the_family(member: str, name: str) -> None:
    method = methods.get(name)()
    assert isinstance(method, PeftMethod)
    assert method.config(tiny_llama()).peft_type.name == member


@pytest.mark.parametrize(
    "name", sorted({*INITIALISATIONS.values(), *FLAGS.values(), *OPTIMISERS.values()})
)
def test_the_variant_is_in_the_catalogue(name: str) -> None:
    assert name in methods.names()


def test_every_reason_says_something() -> None:
    for reason in (NO_FAMILIES | NO_INITIALISATIONS | NO_FLAGS).values():
        assert len(reason.split()) >= 4


def test_all_nineteen_of_peft_factory_are_there() -> None:
    nineteen = {
        *("lora", "qlora", "dora", "lora-plus", "pissa", "galore", "oft"),
        *("prompt-tuning", "prefix-tuning", "p-tuning", "p-tuning-v2", "mpt"),
        *("ia3", "ln-tuning", "sequential-bottleneck", "double-bottleneck"),
        *("parallel-adapter", "bitfit", "svft"),
    }
    assert len(nineteen) == 19
    assert nineteen <= set(methods.names())
