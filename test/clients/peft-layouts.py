"""Makes peft-layouts.jsonl: which modules of a decoder PEFT changes under a config, and by how much.

    for v in 0.13.2 0.14.0 0.20.0; do
      pip download --no-deps peft==$v -d DIR && unzip -qo DIR/peft-$v-*.whl -d DIR/$v
    done
    python test/clients/peft-layouts.py DIR

It runs PEFT's own functions, cut out of its files, so neither PEFT nor PyTorch need be installed.
The configs that the file has already are recorded again, and random ones are added up to COUNT.
"""

import ast
import json
import math
import random
import re
import sys
from pathlib import Path
from types import SimpleNamespace

COUNT = 160
LAYERS = 12
ATTENTION = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
KINDS = [*ATTENTION, "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
LINEAR = [f"model.layers.{layer}.{kind}" for layer in range(LAYERS) for kind in KINDS]
NORMS = [f"model.layers.{i}.{norm}_layernorm" for i in range(LAYERS) for norm in ("input", "post_attention")]
OTHER = ["model.embed_tokens", *NORMS, "model.norm", "lm_head"]

peft = Path(sys.argv[1])


def cut(version, file, *names, given=None):
    """Functions of one of PEFT's files, by name. `given` has what they call."""
    tree = ast.parse((peft / version / "peft" / file).read_text())
    tree.body = [node for node in tree.body if getattr(node, "name", None) in names]
    for node in tree.body:
        node.returns = None
        for arg in getattr(getattr(node, "args", None), "args", []):
            arg.annotation = None
    scope = {"re": re, **(given or {})}
    exec(compile(tree, file, "exec"), scope)
    return [scope[name] for name in names]


NEWEST, UTILS = "0.20.0", "utils/other.py"
[matches] = cut(NEWEST, UTILS, "match_target_against_key")
Excluded, selects = cut(
    NEWEST,
    "tuners/tuners_utils.py",
    "_ExcludedModule",
    "check_target_module_exists",
    given={"match_target_against_key": matches},
)


def pattern_keys(version):
    """How a version finds the key of a pattern for a module: (own keys, keys of both patterns, name) -> key."""
    if version == "0.13.2":  # LoraModel._create_and_replace has it inline.
        return lambda _own, both, name: next(filter(lambda key: re.match(rf".*\.{key}$", name), both), name)
    [get_pattern_key] = cut(version, UTILS, "get_pattern_key")
    return lambda own, _both, name: get_pattern_key(own, name)


VERSIONS = [pattern_keys(version) for version in (NEWEST, "0.14.0", "0.13.2")]


def layout(config, key_of):
    """{module: [rank, scale]}, or None if PEFT changes nothing, or a module that is not served."""
    full = SimpleNamespace(**{"exclude_modules": None, "layers_to_transform": None, "layers_pattern": None, **config})
    found = [(name, selects(full, name)) for name in LINEAR + OTHER]
    changed = [name for name, match in found if match and not isinstance(match, Excluded)]
    if not changed or any(name in OTHER for name in changed):
        return None
    ranks, alphas = config.get("rank_pattern", {}), config.get("alpha_pattern", {})
    every = [*ranks, *alphas]
    result = {}
    for name in changed:
        r = ranks.get(key_of(list(ranks), every, name), config["r"])
        alpha = alphas.get(key_of(list(alphas), every, name), config["lora_alpha"])
        result[name] = [r, alpha / math.sqrt(r) if config["use_rslora"] else alpha / r]
    return result


def recorded(config):
    # Without a version in the file, all versions must read the patterns alike.
    layouts = [layout(config, keys) for keys in (VERSIONS[:1] if "peft_version" in config else VERSIONS)]
    if layouts[0] is None or any(one != layouts[0] for one in layouts):
        return None
    by_kind = {kind: [layouts[0].get(f"model.layers.{i}.{kind}") for i in range(LAYERS)] for kind in KINDS}
    return {kind: values for kind, values in by_kind.items() if any(values)}


LISTED = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "self_attn.q_proj"]
LISTED += ["mlp.up_proj", "3.self_attn.v_proj", "model.layers.2.mlp.gate_proj", "model.layers.11.self_attn.o_proj"]
RARE = ["lm_head", "embed_tokens", "proj", "self_attn"]
REGEXES = [
    r".*_proj",
    r".*\.(q|v)_proj",
    r".*self_attn\..*_proj",
    r".*\.mlp\.(gate|up)_proj",
    r"model\.layers\.(1|1[01])\.[a-z_]*\.[qkvo]_proj",
    r".*layers\.[0-5]\..*(up|o)_proj",
    r"(?!.*\.1\.).*k_proj",
    r"model\.layers\.\d+\.mlp\.[a-z]*_proj",
]
PATTERNS = ["q_proj", "v_proj", "self_attn.k_proj", "mlp.up_proj", "down_proj", r".*\.(q|v)_proj", "layers.3.mlp.gate_proj"]
PATTERNS += [r"self_attn\..*", r"layers\.(2|3)\..*", "model.layers.8.self_attn.o_proj", r"^model\.layers\.3\.mlp\.up_proj$"]


def random_config(draw):
    config = {"r": draw.choice([1, 2, 8, 16]), "lora_alpha": draw.choice([0.5, 1, 16, 32]), "use_rslora": draw.random() < 0.3}
    if draw.random() < 0.6:
        config["peft_version"] = "0.20.0"
    by_regex = draw.random() < 0.3
    listed = draw.sample(LISTED, draw.randint(1, 4)) + ([draw.choice(RARE)] if draw.random() < 0.15 else [])
    config["target_modules"] = draw.choice(REGEXES) if by_regex else listed
    if draw.random() < 0.2:
        config["exclude_modules"] = draw.choice([draw.choice(REGEXES), draw.sample(LISTED, 2)])
    if not by_regex and draw.random() < 0.3:
        config["layers_to_transform"] = draw.choice([7, [], sorted(draw.sample(range(LAYERS), 3))])
    for key, values in (("rank_pattern", [1, 3, 4, 9]), ("alpha_pattern", [1, 3, 64])):
        if draw.random() < 0.5:
            config[key] = {pattern: draw.choice(values) for pattern in draw.sample(PATTERNS, draw.randint(0, 3))}
    return config


file = Path(__file__).parents[2] / "gpu-backend/model/fixtures/peft-layouts.jsonl"
configs = [json.loads(line)["config"] for line in file.read_text().splitlines()]
draw = random.Random(14)
while len(configs) < COUNT:
    configs.append(random_config(draw))
lines = [json.dumps({"config": config, "modules": recorded(config)}) for config in configs]
file.write_text("".join(f"{line}\n" for line in lines))
