"""Simon Willison's llm, from the command line, as its page on other models says."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from advice import Advice
from check import check, key, model, question, url

folder = tempfile.TemporaryDirectory()
extra = Path(folder.name) / "extra-openai-models.yaml"
extra.write_text(f"- model_id: plimsoll\n  model_name: {model}\n  api_base: {url}\n  api_key_name: plimsoll\n  supports_schema: true\n")


def llm(*args: str) -> str:
    environment = {**os.environ, "LLM_USER_PATH": folder.name}
    command = [sys.executable, "-m", "llm", *args]
    # It reads from stdin what is piped into it, to the end.
    silent = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    return subprocess.run(command, env=environment, check=True, **silent).stdout


def prompt() -> None:
    assert llm("-m", "plimsoll", "--key", key, "--no-stream", question).strip()


def stream() -> None:
    assert llm("-m", "plimsoll", "--key", key, "-s", "Be brief.", question).strip()


def schema() -> None:
    form = json.dumps(Advice.model_json_schema())
    Advice.model_validate_json(llm("-m", "plimsoll", "--key", key, "--no-stream", "--schema", form, question))


check("prompt", prompt)
check("stream", stream)
check("schema", schema)
