"""Writes GPTQ and AWQ checkpoints of the tiny model (make_tiny.py) with GPTQModel, and what it makes of their weights.

Usage: make_gptq_awq.py TINY OUT_DIR [case ...]
Needs gptqmodel 7.7.0, transformers 5.17, torch 2.14, on the CPU. `weights.json` beside each model.safetensors: by linear the SHA-256 of the
weight [rows, columns] in float32, little endian, as GPTQModel's own kernels dequantize it (scales taken to float32 first, so that no product
is rounded).
"""
import hashlib
import json
import os
import random
import shutil
import sys

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")  # machines of two cores have too few for it otherwise

import torch
from gptqmodel import BACKEND, GPTQModel, QuantizeConfig
from gptqmodel.nn_modules.qlinear import BaseQuantLinear
from gptqmodel.quantization import FORMAT, METHOD
from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm
from gptqmodel.quantization.config import AWQConfig

# Group sizes of 32 and one scale per row; every number of bits; both orders of columns; both conventions of zero points.
CASES = {
    "gptq-w4-g32": dict(bits=4, group_size=32, desc_act=False, sym=True, format=FORMAT.GPTQ),
    "gptq-w4-g32-desc-act": dict(bits=4, group_size=32, desc_act=True, act_group_aware=False, sym=True, format=FORMAT.GPTQ),
    "gptq-w4-g32-asym-v1": dict(bits=4, group_size=32, desc_act=False, sym=False, format=FORMAT.GPTQ),
    "gptq-w4-g32-asym-v2": dict(bits=4, group_size=32, desc_act=False, sym=False, format=FORMAT.GPTQ_V2),
    "gptq-w2-g32": dict(bits=2, group_size=32, desc_act=False, sym=True, format=FORMAT.GPTQ),
    "gptq-w3-g32-asym": dict(bits=3, group_size=32, desc_act=True, act_group_aware=False, sym=False, format=FORMAT.GPTQ_V2),
    "gptq-w3-g32-asym-v1": dict(bits=3, group_size=32, desc_act=False, sym=False, format=FORMAT.GPTQ),
    "gptq-w8-channel": dict(bits=8, group_size=-1, desc_act=False, act_group_aware=False, sym=True, format=FORMAT.GPTQ),
    "awq-w4-g32": dict(method=METHOD.AWQ, bits=4, group_size=32, sym=False, format=FORMAT.GEMM),
}
KEPT = ("config.json", "quantize_config.json", "model.safetensors")


def calibration():
    draw = random.Random(7)
    rows = [[draw.randrange(3, 320) for _ in range(64)] for _ in range(16)]
    return [{"input_ids": row, "attention_mask": [1] * len(row)} for row in rows]


def weight_of(module):
    if hasattr(module, "g_idx"):
        module.scales = module.scales.float()
        return module.dequantize_weight().T.contiguous()
    scales = module.scales.float()
    return dequantize_gemm(module.qweight, module.qzeros, scales, module.bits, module.group_size).T.contiguous()


def make(tiny, folder, name, options):
    torch.manual_seed(0)
    config = AWQConfig(**options) if options.get("method") == METHOD.AWQ else QuantizeConfig(**options)
    model = GPTQModel.load(tiny, config, backend=BACKEND.TORCH, device="cpu")
    model.quantize(calibration(), batch_size=1)
    scratch = os.path.join(folder, f"{name}-all")
    model.save(scratch)
    awq = options.get("method") == METHOD.AWQ
    loaded = GPTQModel.load(scratch, backend=BACKEND.TORCH_AWQ if awq else BACKEND.TORCH, device="cpu", dtype=torch.float16)
    weights = {}
    for linear, module in loaded.model.named_modules():
        if isinstance(module, BaseQuantLinear):
            weight = weight_of(module)
            assert weight.dtype == torch.float32
            weights[linear] = hashlib.sha256(weight.numpy().tobytes()).hexdigest()
    kept = os.path.join(folder, name)
    os.makedirs(kept, exist_ok=True)
    for file in KEPT:
        shutil.copy(os.path.join(scratch, file), kept)
    for file in KEPT[:2]:
        path = os.path.join(kept, file)
        content = json.load(open(path))
        content.get("quantization_config", content)["meta"].pop("offload_to_disk_path", None)
        json.dump(content, open(path, "w"), indent=2)
    shutil.rmtree(scratch)
    with open(os.path.join(kept, "weights.json"), "w") as out:
        json.dump(weights, out, indent=1)


def main(tiny, folder, *names):
    for name in names or CASES:
        make(tiny, folder, name, CASES[name])


if __name__ == "__main__":
    main(*sys.argv[1:])
