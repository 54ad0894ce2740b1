"""Write what each config class of transformers takes where config.json says nothing: config-defaults.json, by model_type.

Keys that older files spell otherwise (rope_theta, rope_local_base_freq, rotary_emb_base, rotary_pct, sliding_window_pattern) are given by
what the class makes of them.
Usage: make_config_defaults.py ARCHITECTURES_DIR OUT_FILE        needs transformers
"""
import json, os, sys
from transformers import CONFIG_MAPPING

def defaults(kind):
    cfg = CONFIG_MAPPING[kind]()
    rope = getattr(cfg, "rope_parameters", None) or {}
    whole = rope.get("full_attention", rope)
    # Fields as they are declared: some are changed by others once the class is made (Qwen's window).
    declared = {k: f.default for k, f in type(cfg).__dataclass_fields__.items() if isinstance(f.default, (bool, int, float, str))}
    own = {k: v for k, v in cfg.to_dict().items() if v is None or isinstance(v, (bool, int, float, str))}
    spelled = dict(rope_theta=whole.get("rope_theta"), rotary_emb_base=whole.get("rope_theta"),
                   partial_rotary_factor=whole.get("partial_rotary_factor"), rotary_pct=whole.get("partial_rotary_factor"),
                   rope_local_base_freq=rope.get("sliding_attention", {}).get("rope_theta"),
                   sliding_window_pattern=getattr(cfg, "_sliding_window_pattern", None))
    return own | declared | {k: v for k, v in spelled.items() if v is not None}

def main(folder, out):
    kinds = sorted(f.removesuffix(".ts") for f in os.listdir(folder))
    with open(out, "w") as file:
        json.dump({kind: defaults(kind) for kind in kinds}, file, indent=1, sort_keys=True)
        file.write("\n")

main(*sys.argv[1:])
