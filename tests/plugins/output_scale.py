"""A config and a tuner in the manner of peft, as another package would bring them."""

from dataclasses import dataclass, field

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer

from peftbench.methods import from_peft


@dataclass
class OutputScaleConfig(PeftConfig):
    target_modules: list[str] = field(default_factory=lambda: ["down_proj", "fc2"])
    start: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        self.peft_type = "OUTPUT_SCALE"


class OutputScaleLayer(torch.nn.Module, BaseTunerLayer):
    adapter_layer_names = ("output_scale",)

    def __init__(self, base_layer, adapter_name, config):
        super().__init__()
        self.base_layer = base_layer
        self.output_scale = torch.nn.ParameterDict()
        self.merged_adapters = []
        self._active_adapter = adapter_name
        self.output_scale[adapter_name] = torch.nn.Parameter(
            torch.full((base_layer.weight.shape[0],), config.start)
        )
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, x):
        out = self.base_layer(x)
        for name in () if self.disable_adapters else self.active_adapters:
            out = out * self.output_scale[name].to(out.dtype)
        return out


class OutputScaleModel(BaseTuner):
    """What a layer returns is scaled (Nobody, 2026).

    Computes ``l * (W x)`` with l: (d_out,), one at the start.
    """

    prefix = "output_"
    tuner_layer_cls = OutputScaleLayer
    target_module_mapping = None

    def _create_and_replace(
        self, config, adapter_name, target, target_name, parent, current_key
    ):
        layer = OutputScaleLayer(target, adapter_name, config)
        self._replace_module(parent, target_name, layer, target)


METHOD = from_peft(
    OutputScaleConfig,
    OutputScaleModel,
    family="adapter",
    placement="output of the MLP",
    paper="Nobody, 2026",
    identity_at_start=True,
    training={"learning_rate": 1e-2},
    unsupported={
        "gpt2": "its MLP ends in a layer with another name",
        "gpt_neox": "its MLP ends in a layer with another name",
    },
)
