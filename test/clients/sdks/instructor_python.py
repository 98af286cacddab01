"""Instructor, which makes any client's answers models of Pydantic."""

import instructor
from advice import Advice
from check import check, key, model, question, url
from openai import OpenAI

messages = [{"role": "user", "content": question}]


def create_with(mode: instructor.Mode) -> None:
    client = instructor.from_openai(OpenAI(base_url=url, api_key=key), mode=mode)
    advice = client.chat.completions.create(model=model, response_model=Advice, messages=messages, max_retries=0)
    assert isinstance(advice, Advice)


for mode in [instructor.Mode.TOOLS, instructor.Mode.TOOLS_STRICT, instructor.Mode.JSON_SCHEMA]:
    check(f"create ({mode.name})", lambda mode=mode: create_with(mode))
