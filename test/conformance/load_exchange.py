"""Loads every GPTQ and AWQ checkpoint below a folder with GPTQModel and with transformers, on the CPU, and compares with llmpress (exchange.js).

Prints `ok ...` or `not ok ...` per check. Usage: load_exchange.py WORK_DIR

- weights: what the kernels dequantize is what llmpress reads, bit by bit (scales taken to float32, so that no product is rounded);
- logits in float32, of the loaded model with these weights in place of its kernels: largest difference <= 1e-3 standard deviations;
- logits of the kernels themselves, which compute in float16: rms difference <= 0.01.
"""
import json
import os
import sys

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")  # machines of two cores have too few for it otherwise

import torch
from gptqmodel import BACKEND, GPTQModel
from gptqmodel.nn_modules.qlinear import BaseQuantLinear
from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm
from transformers import AutoModelForCausalLM, AwqConfig, GPTQConfig


def check(good, what):
    print(f"{'ok' if good else 'not ok'} {what}", flush=True)


def floats(path):
    return torch.frombuffer(bytearray(open(path, "rb").read()), dtype=torch.float32)


def weight_of(module):
    scales, module.scales = module.scales, module.scales.float()
    try:
        if hasattr(module, "g_idx"):
            return module.dequantize_weight().T.contiguous()
        return dequantize_gemm(module.qweight, module.qzeros, module.scales, module.bits, module.group_size).T.contiguous()
    finally:
        module.scales = scales


def quantized(model):
    return {name: module for name, module in model.named_modules() if isinstance(module, BaseQuantLinear)}


def logits(model, rows):
    with torch.no_grad():
        return model(rows).logits.float()


def compare(name, folder, model, by):
    rows = torch.tensor(json.load(open(os.path.join(folder, "conformance-rows.json"))))
    ours = floats(os.path.join(folder, "conformance-logits.f32")).view(rows.shape[0], rows.shape[1], -1)
    weights = os.path.join(folder, "conformance-weights")
    modules = quantized(model)
    names = {file.removesuffix(".f32") for file in os.listdir(weights)}
    check(set(modules) == names, f"{name}: {by} finds the compressed linears ({len(modules)} of {len(names)})")
    if set(modules) != names:
        return
    half = logits(model, rows)
    off = (ours - half).square().mean().sqrt().item() / half.std().item()
    check(off <= 0.01, f"{name}: logits of {by}'s kernels in float16, rms {off:.1e} <= 0.01")
    different = 0
    for linear, module in modules.items():
        weight = weight_of(module)
        different += (weight.flatten() != floats(os.path.join(weights, f"{linear}.f32"))).sum().item()
        dense = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=module.bias is not None)
        dense.weight.data = weight
        if module.bias is not None:
            dense.bias.data = module.bias.float()
        model.set_submodule(linear, dense)
    check(different == 0 and len(modules) > 0, f"{name}: weights by {by}, {different} differ")
    # transformers refuses float() on what it loaded quantized.
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data = tensor.data.float()
    exact = logits(model, rows)
    largest = ((ours - exact).abs().max() / exact.std()).item()
    check(largest <= 1e-3, f"{name}: logits by {by} in float32, {largest:.1e} <= 1e-3")


def main(work):
    for name in sorted(os.listdir(work)):
        folder = os.path.join(work, name)
        config = json.load(open(os.path.join(folder, "config.json")))["quantization_config"]
        awq = config["quant_method"] == "awq"
        backend = BACKEND.TORCH_AWQ if awq else BACKEND.TORCH
        compare(name, folder, GPTQModel.load(folder, backend=backend, device="cpu", dtype=torch.float16).model, "GPTQModel")
        # Not the kernels that are compiled on the spot, which also take outputs in multiples of 32 alone.
        plain = AwqConfig(backend="torch_awq") if awq else GPTQConfig(bits=config["bits"], backend="torch")
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float16, device_map="cpu", quantization_config=plain)
        compare(name, folder, model, "transformers")


if __name__ == "__main__":
    main(sys.argv[1])
