"""Ranges of weights as llm-compressor's observers find them, in float32: what the searches are compared with.

OUT (a JSON file): per case the tensor of tiny/, the args, the importance of input channels where there is one (1 + channel % 7), and the scales
(and zero points) in base64 of float32 (int8), row by row.
Usage: make_observers.py TINY_FOLDER OUT
"""
import base64, json, sys, torch
from safetensors.torch import load_file
from compressed_tensors.quantization import QuantizationArgs
from llmcompressor.observers import Observer

tensors = load_file(f"{sys.argv[1]}/model.safetensors")
KEYS = ("num_bits", "type", "strategy", "group_size", "symmetric", "block_structure", "observer", "observer_kwargs")
text = lambda t, dtype: base64.b64encode(t.contiguous().to(dtype).numpy().tobytes()).decode()
cases = []

def case(tensor, imatrix=False, **kw):
    weight = tensors[tensor].float()
    args = QuantizationArgs(**kw)
    observer = Observer.load_from_registry(kw["observer"], base_name="weight", args=args)
    importance = 1 + torch.arange(weight.shape[1]) % 7
    if imatrix: observer._imatrix_sum, observer._imatrix_count = importance.float(), torch.tensor(1)
    observer(weight)
    q = observer.get_qparams()
    cases.append(dict(tensor=tensor, args={k: kw[k] for k in KEYS if k in kw}, importance=imatrix, scale=text(q["scale"], torch.float32),
                      zeroPoint=None if args.symmetric else text(q["zero_point"], torch.int8)))

K, GATE = "model.layers.1.self_attn.k_proj.weight", "model.layers.0.mlp.gate_proj.weight"
g4 = dict(num_bits=4, type="int", strategy="group", group_size=32)
case(K, **g4, symmetric=True, observer="memoryless_mse")
case(K, **g4, symmetric=False, observer="memoryless_mse")
case(GATE, num_bits=8, type="int", strategy="channel", symmetric=True, observer="memoryless_mse")
case(K, **g4, symmetric=True, observer="memoryless_mse", observer_kwargs=dict(maxshrink=0.5, grid=40, norm=2.0, expand=1.1, patience=1000))
case(K, **g4, symmetric=True, observer="imatrix_mse", imatrix=True)
case(K, **g4, symmetric=False, observer="imatrix_mse", imatrix=True)
case(GATE, num_bits=8, type="float", strategy="tensor", symmetric=True, observer="memoryless_mse")
case(GATE, num_bits=8, type="float", strategy="channel", symmetric=True, observer="memoryless_mse")
case(GATE, num_bits=8, type="float", strategy="block", block_structure=[64, 64], symmetric=True, observer="memoryless_mse")
json.dump(cases, open(sys.argv[2], "w"), indent=0)
