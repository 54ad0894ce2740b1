"""Activations quantized and back by compressed-tensors, in float32: what a server computes with.

OUT (a JSON file): x [2, 64] flat; per case the args, `dynamic`, the stored scale (`value`; the global scale for `local`) and zero point,
and y, x after fake_quantize. Dynamic token inputs are given as [1, 2, 64], as in a forward pass.
Usage: make_activations.py OUT
"""
import json, sys, torch
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.utils import compute_dynamic_scales_and_zp, calculate_qparams, generate_gparam
from compressed_tensors.quantization.lifecycle.forward import fake_quantize

torch.manual_seed(3)
x = torch.randn(2, 64) * torch.tensor([1.0, 30.0])[:, None]
x[:, 5] *= 20
x = (x * 64).round() / 64
flat = lambda t: [float("%.9g" % v) for v in t.flatten().tolist()]
cases = {}

def add(name, kw, y, dynamic, **stored):
    cases[name] = dict(args={k: str(v) if isinstance(v, torch.dtype) else v for k, v in kw.items()}, dynamic=dynamic, y=flat(y), **stored)

def dynamic(name, **kw):
    args = QuantizationArgs(dynamic=True, **kw)
    scale, zero = compute_dynamic_scales_and_zp(x[None], args, torch.nn.Module())
    add(name, kw, fake_quantize(x[None], scale, zero, args), True)

def static(name, **kw):
    args = QuantizationArgs(**kw)
    scale, zero = calculate_qparams(x.min() * 0.8, x.max() * 0.7, args)
    add(name, kw, fake_quantize(x, scale, zero, args), False, value=scale.item(), zero=int(zero.float().item()))

dynamic("int8 token", num_bits=8, type="int", strategy="token")
dynamic("int4 token", num_bits=4, type="int", strategy="token")
dynamic("int8 token asymmetric", num_bits=8, type="int", strategy="token", symmetric=False)
dynamic("float8 tensor", num_bits=8, type="float", strategy="tensor")
dynamic("float8 group", num_bits=8, type="float", strategy="group", group_size=32)
dynamic("MXFP4", num_bits=4, type="float", strategy="group", group_size=32, scale_dtype=torch.uint8)
dynamic("MXFP8", num_bits=8, type="float", strategy="group", group_size=32, scale_dtype=torch.uint8)
static("int8 static", num_bits=8, type="int", strategy="tensor")
static("int8 static asymmetric", num_bits=8, type="int", strategy="tensor", symmetric=False)
static("float8 static", num_bits=8, type="float", strategy="tensor")
kw = dict(num_bits=4, type="float", strategy="tensor_group", group_size=16, scale_dtype=torch.float8_e4m3fn)
args = QuantizationArgs(dynamic="local", **kw)
whole = generate_gparam(x.min().reshape(1) * 1.25, x.max().reshape(1) * 1.25)
scale, zero = compute_dynamic_scales_and_zp(x[None], args, torch.nn.Module(), global_scale=whole)
add("NVFP4 local", kw, fake_quantize(x[None], scale, zero, args, global_scale=whole), "local", value=whole.item(), zero=0)
json.dump(dict(x=flat(x), cases=cases), open(sys.argv[1], "w"), indent=None)
