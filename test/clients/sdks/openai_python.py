"""OpenAI's client for Python."""

import asyncio

import openai
from check import check, key, model, question, url
from openai import AsyncOpenAI, OpenAI

client = OpenAI(base_url=url, api_key=key)
messages = [{"role": "user", "content": question}]


def chat() -> None:
    completion = client.chat.completions.create(model=model, messages=messages, max_tokens=30)
    assert completion.choices[0].message.content.strip()
    assert completion._request_id.startswith("req_")


def stream() -> None:
    request = {"model": model, "messages": messages, "max_tokens": 30, "seed": 7}
    whole = client.chat.completions.create(**request)
    text = ""
    for chunk in client.chat.completions.create(**request, stream=True):
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert text == whole.choices[0].message.content


def asynchronous() -> None:
    async def ask() -> None:
        async with AsyncOpenAI(base_url=url, api_key=key) as one:
            request = {"model": model, "messages": messages, "max_tokens": 10}
            answers = await asyncio.gather(*(one.chat.completions.create(**request) for _ in range(3)))
            assert len(answers) == 3

    asyncio.run(ask())


def completions() -> None:
    request = {"model": model, "prompt": question, "max_tokens": 20, "seed": 7}
    whole = client.completions.create(**request)
    assert whole.choices[0].text.strip()
    chunks = client.completions.create(**request, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text


def models() -> None:
    assert model in [each.id for each in client.models.list()]
    assert client.models.retrieve(model).created > 1_600_000_000


def moderations() -> None:
    result = client.moderations.create(model="omni-moderation-latest", input="I want to kill myself").results[0]
    assert result.flagged and result.categories.self_harm
    assert result.category_applied_input_types.self_harm == ["text"]


def errors() -> None:
    try:
        client.chat.completions.create(model="gpt-9", messages=messages)
    except openai.NotFoundError as error:
        assert error.code == "model_not_found" and error.param == "model"
    else:
        raise AssertionError("no error")


for what, work in [
    ("chat", chat),
    ("stream", stream),
    ("async", asynchronous),
    ("completions", completions),
    ("models", models),
    ("moderations", moderations),
    ("errors", errors),
]:
    check(what, work)
