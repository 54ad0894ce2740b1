"""References of 4-bit float checkpoints in float32: logits of the tiny model with its weights dequantized in float32.

transformers dequantizes these formats to bfloat16 and computes on in it, which moves logits by 0.2 of their standard deviation: too
coarse to compare with. Inputs are quantized where the scheme says so. Replaces FOLDER/checkpoints/<case>/reference.safetensors.
Usage: make_float32_references.py FOLDER case ...
"""
import json, sys, torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from compressed_tensors.quantization import QuantizationConfig
from compressed_tensors.quantization.lifecycle.forward import dequantize, fake_quantize
from compressed_tensors.quantization.utils import compute_dynamic_scales_and_zp
from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8

def quantized_inputs(args, whole):
    def hook(module, inputs):
        scale, zero = compute_dynamic_scales_and_zp(inputs[0], args, module, global_scale=whole)
        return (fake_quantize(inputs[0], scale, zero, args, global_scale=whole),)
    return hook

folder = sys.argv[1]
ids = load_file(f"{folder}/checkpoints/input_ids.safetensors")["eval"][:2]
for case in sys.argv[2:]:
    path = f"{folder}/checkpoints/{case}"
    tensors = load_file(f"{path}/model.safetensors")
    groups = json.load(open(f"{path}/config.json"))["quantization_config"]["config_groups"]
    scheme = QuantizationConfig(config_groups=groups).config_groups["group_0"]
    model = AutoModelForCausalLM.from_pretrained(f"{folder}/tiny", dtype=torch.float32)
    for name, module in model.named_modules():
        packed = tensors.get(f"{name}.weight_packed")
        if packed is None: continue
        codes = unpack_fp4_from_uint8(packed, packed.shape[0], packed.shape[1] * 2, torch.float32)
        scale = tensors[f"{name}.weight_scale"]
        scale = 2.0 ** (scale.float() - 127) if scale.dtype == torch.uint8 else scale.float()
        whole = tensors.get(f"{name}.weight_global_scale")
        module.weight.data = dequantize(codes, scale, args=scheme.weights, global_scale=whole, dtype=torch.float32)
        if scheme.input_activations:
            module.register_forward_pre_hook(quantized_inputs(scheme.input_activations, tensors[f"{name}.input_global_scale"]))
    with torch.no_grad(): logits = model(ids).logits.float().contiguous()
    save_file({"logits": logits}, f"{path}/reference.safetensors")
