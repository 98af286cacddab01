"""Simon Willison's llm, from the command line, as its page on other models says."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from check import check, key, model, question, url

folder = tempfile.TemporaryDirectory()
extra = Path(folder.name) / "extra-openai-models.yaml"
extra.write_text(f"- model_id: plimsoll\n  model_name: {model}\n  api_base: {url}\n  api_key_name: plimsoll\n")


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


check("prompt", prompt)
check("stream", stream)
