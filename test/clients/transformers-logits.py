"""Makes transformers-logits.json: what Hugging Face's Transformers computes for our tiny families.

    node scripts/launch.mjs gpu-backend/model/testing/write-tiny-checkpoints.ts DIR
    pip install torch==2.5.1 transformers==5.0.0
    python test/clients/transformers-logits.py DIR

Run it again when a tiny family changes. The tests only read the JSON and need no Python.
"""

import json
import sys
from pathlib import Path

import torch
import transformers

IDS = [10 + ((i * 37) % 200) for i in range(24)]
families = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        logits = model(torch.tensor([IDS])).logits[0]  # [T, V]
    families[folder.name] = {
        "largest": [round(x, 7) for x in logits.max(dim=-1).values.tolist()],
        "last": [round(x, 7) for x in logits[-1, :8].tolist()],
    }
stored = {"transformers": transformers.__version__, "ids": IDS, "families": families}
(Path(__file__).parents[2] / "gpu-backend/model/testing/transformers-logits.json").write_text(json.dumps(stored, indent=1) + "\n")
