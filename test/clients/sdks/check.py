"""Runs what a client's program tries, one after the other, and prints a line of JSON for each."""

import json
import os
import traceback
from collections.abc import Callable

url = os.environ["PLIMSOLL_URL"] + "/v1"
key = os.environ["PLIMSOLL_KEY"]
model = os.environ["PLIMSOLL_MODEL"]
question = "How do I clean a pan?"


def check(what: str, work: Callable[[], None]) -> None:
    """A check fails if `work` raises."""
    try:
        work()
        print(json.dumps({"what": what}), flush=True)
    except Exception:
        print(json.dumps({"what": what, "failed": traceback.format_exc()}), flush=True)
