"""Loads every checkpoint below a folder with transformers and compressed-tensors and compares with what llmpress computed (logits.js).

Prints `ok ...` or `not ok ...` per check. Usage: load.py WORK_DIR

Tolerances, in units of the standard deviation of the logits:
  weights, float32                   largest difference <= 1e-3
                                     (conformance-bound.json: where transformers computes with something else than what is stored)
  inputs quantized at run time       rms difference <= 0.05, the same most likely token for >= 95 %: an input within float32 noise of the
                                     middle of two codes falls to either side, and all later tokens of its row see it
  NVFP4 and MX, in bfloat16          weights equal; rms difference of the weights' logits <= 0.05
"""
import json
import os
import sys
import torch
from compressed_tensors.quantization.lifecycle import forward as lifecycle
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.quantization_config import CompressedTensorsConfig

NEW_TOKENS = 16


def by_token(compute):
    """compressed-tensors 0.19 finds one scale for all tokens of an input [tokens, columns] (OPT, the experts of Llama 4), where servers and its
    own inputs [rows, tokens, columns] have one a token: such an input is shown to it as one row."""

    def scales(value, args, module, global_scale=None):
        if args.strategy != "token" or value.ndim != 2:
            return compute(value, args, module, global_scale)
        return tuple(found.squeeze(0) for found in compute(value[None], args, module, global_scale))

    return scales


lifecycle.compute_dynamic_scales_and_zp = by_token(lifecycle.compute_dynamic_scales_and_zp)


def check(good, what):
    print(f"{'ok' if good else 'not ok'} {what}", flush=True)


def read(folder, name, rows):
    values = torch.frombuffer(bytearray(open(os.path.join(folder, name), "rb").read()), dtype=torch.float32)
    return values.view(rows.shape[0], rows.shape[1], -1)


def bound_of(folder):
    path = os.path.join(folder, "conformance-bound.json")
    return json.load(open(path)) if os.path.exists(path) else 1e-3


def load(folder, **options):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)
    # transformers 5.17 leaves weights that it renames on loading (embed_out, block_sparse_moe.gate) in their stored type.
    for parameter in model.parameters():
        if parameter.dtype == torch.bfloat16:
            parameter.data = parameter.data.float()
    return model


def logits(model, rows):
    with torch.no_grad():
        return model(rows).logits.float()


def largest(ours, theirs):
    return ((ours - theirs).abs().max() / theirs.std()).item()


def disable_quantization(model):
    for module in model.modules():
        if getattr(module, "quantization_scheme", None) is not None:
            module.quantization_enabled = False


def conform_bfloat16(name, folder):
    """NVFP4 and MX: compressed-tensors gives the weights back in bfloat16, so they are compared as such, and the logits coarsely."""
    rows = torch.tensor(json.load(open(os.path.join(folder, "conformance-rows.json"))))
    dense = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, quantization_config=CompressedTensorsConfig(run_compressed=False))
    modules, dequantized = dict(dense.named_modules()), os.path.join(folder, "conformance-dequantized")
    different = total = 0
    for file in sorted(os.listdir(dequantized)):
        theirs = modules[file.removesuffix(".f32")].weight
        ours = torch.frombuffer(bytearray(open(os.path.join(dequantized, file), "rb").read()), dtype=torch.float32).view(theirs.shape)
        different += (ours.to(torch.bfloat16) != theirs).sum().item()
        total += theirs.numel()
    check(different == 0 and total > 0, f"{name}: weights in bfloat16, {different} of {total} differ")
    # Not with quantized inputs: bfloat16's noise moves 4-bit inputs by whole steps.
    disable_quantization(dense)
    quantizes_inputs = os.path.exists(os.path.join(folder, "conformance-weights.f32"))
    ours = read(folder, "conformance-weights.f32" if quantizes_inputs else "conformance-logits.f32", rows)
    theirs = logits(dense, rows)
    off = (ours - theirs).square().mean().sqrt().item() / theirs.std().item()
    check(off <= 0.05, f"{name}: logits of the weights against a run in bfloat16, rms {off:.1e} <= 0.05")


def conform(name, folder):
    if os.path.exists(os.path.join(folder, "conformance-dequantized")):
        return conform_bfloat16(name, folder)
    rows = torch.tensor(json.load(open(os.path.join(folder, "conformance-rows.json"))))
    ours = read(folder, "conformance-logits.f32", rows)
    dense = load(folder, quantization_config=CompressedTensorsConfig(run_compressed=False))
    theirs = logits(dense, rows)
    if os.path.exists(os.path.join(folder, "conformance-weights.f32")):
        off = (ours - theirs).square().mean().sqrt().item() / theirs.std().item()
        top = (ours.argmax(-1) == theirs.argmax(-1)).float().mean().item()
        if bound_of(folder) <= 1e-3:
            check(off <= 0.05 and top >= 0.95, f"{name}: logits with quantized inputs, rms {off:.2e} <= 0.05, same first token {top:.3f} >= 0.95")
        disable_quantization(dense)
        ours, plain = read(folder, "conformance-weights.f32", rows), logits(dense, rows)
    else:
        plain = theirs
    bound = bound_of(folder)
    error = largest(ours, plain)
    check(error <= bound, f"{name}: logits of the weights, largest difference {error:.1e} <= {bound:g}")

    packed = load(folder)
    error = largest(logits(packed, rows), theirs)
    check(error <= 1e-3, f"{name}: transformers' default loading gives the same, {error:.1e} <= 1e-3")

    if not os.path.exists(os.path.join(folder, "tokenizer.json")):
        return
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = rows[:1, :24]
    with torch.no_grad():
        out = packed.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False)
    text = tokenizer.decode(out[0, prompt.shape[1]:])
    check(out.shape[1] == prompt.shape[1] + NEW_TOKENS and len(text) > 0, f"{name}: generates {json.dumps(text)}")


if __name__ == "__main__":
    work = sys.argv[1]
    torch.set_num_threads(2)
    for name in sorted(os.listdir(work)):
        folder = os.path.join(work, name)
        if not os.path.exists(os.path.join(folder, "conformance-rows.json")):
            continue
        try:
            conform(name, folder)
        except Exception as error:
            check(False, f"{name}: {type(error).__name__}: {str(error)[:300]}")
