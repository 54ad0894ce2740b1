"""Loads every bitsandbytes checkpoint below a folder with transformers and bitsandbytes, on the CPU, and compares with llmpress (bitsandbytes.js).

Prints `ok ...` or `not ok ...` per check. Usage: load_bitsandbytes.py WORK_DIR

- bytes: what transformers saves of the original with the same configuration has the same tensors, types, shapes and bytes;
- logits of 4-bit weights in float32 (bnb_4bit_compute_dtype set aside): largest difference <= 1e-3 standard deviations;
- logits of LLM.int8: linears give the same for the same inputs; norms and attention do not to the bit, and an input on the border between two codes falls to one
  side or the other by the last bit of a float: rms difference <= 0.01. Tokens that hear of none are within 1e-4 standard deviations: SHARES of them. All rows go in one batch, since columns with outliers are found over all of it;
- widths of multiples of 16 that are none of 64: the AVX512 kernels of bitsandbytes 0.50.2 take every row to begin a block, which others of it do not; weights
  are dequantized in torch there, and its own kernel is not looked at;
- where the processor has AVX512-BF16, logits of the kernel that bitsandbytes takes there, which computes in bfloat16: rms difference <= 0.05.
"""
import json
import os
import sys
import tempfile

import bitsandbytes.functional as F
import torch
from bitsandbytes.nn import Linear4bit
from safetensors import safe_open
from transformers import AutoModelForCausalLM, BitsAndBytesConfig


def check(good, what):
    print(f"{'ok' if good else 'not ok'} {what}", flush=True)


def tensors(folder):
    with safe_open(os.path.join(folder, "model.safetensors"), "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a.contiguous().view(-1).view(torch.uint8), b.contiguous().view(-1).view(torch.uint8))


def bytes_of(name, folder, config):
    original = open(os.path.join(folder, "conformance-original")).read()
    model = AutoModelForCausalLM.from_pretrained(original, quantization_config=BitsAndBytesConfig.from_dict(config))
    with tempfile.TemporaryDirectory() as saved:
        model.save_pretrained(saved)
        ours, theirs = tensors(folder), tensors(saved)
        said = json.load(open(os.path.join(saved, "config.json")))["quantization_config"]
    different = [tensor for tensor in theirs if tensor not in ours or not same(ours[tensor], theirs[tensor])]
    check(set(ours) == set(theirs) and not different, f"{name}: {len(theirs)} tensors as transformers saves them, {len(different)} differ {different[:3]}")
    check(said == config, f"{name}: quantization_config as transformers saves it")


def runs_on(module):
    return isinstance(module, Linear4bit) and module.in_features % 16 == 0 and module.in_features % 64 != 0


def dequantized(module):
    """The linear with its weights in float32, by what bitsandbytes' own dequantization in torch does."""
    state = module.weight.quant_state
    absmax = F.dequantize_blockwise(state.absmax, state.state2) + state.offset if state.nested else state.absmax
    packed = module.weight.data.view(torch.uint8).flatten()
    codes = torch.stack([packed >> 4, packed & 15], 1).flatten()[: state.shape.numel()].long()
    linear = torch.nn.Linear(module.in_features, module.out_features, module.bias is not None)
    linear.weight.data = (state.code[codes] * absmax.repeat_interleave(state.blocksize)[: codes.numel()]).view(state.shape)
    if module.bias is not None:
        linear.bias.data = module.bias.data.float()
    return linear


def logits_of(folder, plain):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for module in model.modules():
        if plain and hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
            module.compute_dtype = torch.float32
    replaced = [(name, module) for name, module in model.named_modules() if runs_on(module)]
    for name, module in replaced:
        model.set_submodule(name, dequantized(module))
    # Some that are renamed on loading keep their type.
    for parameter in model.parameters():
        if type(parameter) is torch.nn.Parameter and parameter.is_floating_point():
            parameter.data = parameter.data.float()
    rows = torch.tensor(json.load(open(os.path.join(folder, "conformance-rows.json"))))
    with torch.no_grad():
        theirs = model(rows).logits.float()
    ours = torch.frombuffer(bytearray(open(os.path.join(folder, "conformance-logits.f32"), "rb").read()), dtype=torch.float32).view(theirs.shape)
    return ours, theirs, len(replaced)


# Of LLM.int8's tokens, those that must hear of no input on the border of two codes: seen were 99.5, 69.8 (6 codes differ), 100 and 100 %.
SHARES = {"docs-llama-4m-llm-int8": 0.98, "tiny-int8": 0.6, "tiny-int8-low": 0.98, "tiny-int8-skip": 0.98}


def compare(name, folder):
    config = json.load(open(os.path.join(folder, "config.json")))["quantization_config"]
    bytes_of(name, folder, config)
    ours, theirs, replaced = logits_of(folder, True)
    apart = (ours - theirs).abs().amax(-1) / theirs.std()
    rms = ((ours - theirs).square().mean().sqrt() / theirs.std()).item()
    if config["load_in_8bit"]:
        share = (apart <= 1e-4).float().mean().item()
        least = SHARES.get(name, 0)
        check(share >= least and rms <= 0.01, f"{name}: logits, {100 * share:.1f} % of tokens within 1e-4 (>= {100 * least:.0f} %), rms {rms:.1e} <= 0.01")
        return
    check(apart.max().item() <= 1e-3, f"{name}: logits in float32, {apart.max().item():.1e} <= 1e-3")
    if replaced > 0:
        return
    half = logits_of(folder, False)[1]
    off = ((ours - half).square().mean().sqrt() / theirs.std()).item()
    check(off <= 0.05, f"{name}: logits of its own kernel, rms {off:.1e} <= 0.05")


def main(work):
    torch.set_num_threads(1)
    for name in sorted(os.listdir(work)):
        compare(name, os.path.join(work, name))


if __name__ == "__main__":
    main(sys.argv[1])
