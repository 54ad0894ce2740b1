"""How far llm-compressor's GPTQ leaves the outputs of the tiny model's linears with floats as codes: what ours is compared with.

Each layer is compressed on its own, so that all its linears read what the original model gives them. OUT (a JSON file): per scheme and
linear tr(E H E^T) / tr(W H W^T), E the error of the weight as stored (dequantized in float32) and H the second moments of the linear's
inputs in the float32 model over the calibration rows, in float64.
Usage: make_gptq_floats.py FOLDER_OF_ORACLES OUT
"""
import json, re, sys, tempfile, torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from compressed_tensors.quantization.lifecycle.forward import dequantize
from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
from llmcompressor import oneshot
from llmcompressor.modifiers.gptq import GPTQModifier

torch.set_num_threads(2); torch.manual_seed(0)
folder, out = sys.argv[1:]
ids = load_file(f"{folder}/checkpoints/input_ids.safetensors")["calibration"]
N, L = ids.shape
rows = Dataset.from_dict({"input_ids": ids.tolist(), "attention_mask": [[1] * L] * N})

def moments():
    model, sums = AutoModelForCausalLM.from_pretrained(f"{folder}/tiny", dtype=torch.float32), {}
    def hook(name):
        def add(module, inputs):
            x = inputs[0].flatten(0, -2).double()
            sums[name] = sums.get(name, 0) + x.T @ x
        return add
    for name, module in model.model.named_modules(prefix="model"):
        if isinstance(module, torch.nn.Linear): module.register_forward_pre_hook(hook(name))
    with torch.no_grad(): model(ids)
    return sums, {name: model.get_submodule(name).weight.detach().double() for name in sums}

def stored_weight(tensors, name, args):
    scale = tensors[f"{name}.weight_scale"]
    scale = 2.0 ** (scale.float() - 127) if scale.dtype == torch.uint8 else scale.float()
    packed = tensors.get(f"{name}.weight_packed")
    codes = tensors[f"{name}.weight"].float() if packed is None else unpack_fp4_from_uint8(packed, packed.shape[0], packed.shape[1] * 2, torch.float32)
    return dequantize(codes, scale, args=args, global_scale=tensors.get(f"{name}.weight_global_scale"), dtype=torch.float32).double()

hessians, weights = moments()
errors = {}
for scheme in ("FP8_DYNAMIC", "FP8_BLOCK", "NVFP4A16", "MXFP4A16"):
    errors[scheme] = {}
    for layer in (0, 1):
        model = AutoModelForCausalLM.from_pretrained(f"{folder}/tiny", dtype=torch.bfloat16)
        pattern = rf"model\.layers\.{layer}\..*_proj"
        oneshot(model=model, dataset=rows, recipe=GPTQModifier(scheme=scheme, targets=[f"re:{pattern}$"]), max_seq_length=L, num_calibration_samples=N, shuffle_calibration_samples=False)
        names = [name for name in hessians if re.fullmatch(pattern, name)]
        args = {name: model.get_submodule(name).quantization_scheme.weights for name in names}
        with tempfile.TemporaryDirectory() as saved:
            model.save_pretrained(saved, save_compressed=True)
            tensors = load_file(f"{saved}/model.safetensors")
        for name in names:
            w, h = weights[name], hessians[name]
            e = stored_weight(tensors, name, args[name]) - w
            errors[scheme][name] = float(f"{((e @ h * e).sum() / (w @ h * w).sum()).item():.6g}")
json.dump(errors, open(out, "w"), indent=1)
