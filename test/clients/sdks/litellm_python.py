"""LiteLLM, which calls us as one provider of many."""

import litellm
from advice import Advice
from check import check, key, model, question, url
from weather import Weather, wish

messages = [{"role": "user", "content": question}]
about = {"model": f"openai/{model}", "api_base": url, "api_key": key, "max_tokens": 30, "messages": messages}


def completion() -> None:
    answer = litellm.completion(**about)
    assert answer.choices[0].message.content.strip()
    assert answer.usage.total_tokens > 0


def stream() -> None:
    chunks = litellm.completion(**about, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks).strip()


def response_format() -> None:
    answer = litellm.completion(**{**about, "max_tokens": 100}, response_format=Advice)
    Advice.model_validate_json(answer.choices[0].message.content)


def tools() -> None:
    parameters = Weather.model_json_schema()
    function = {"type": "function", "function": {"name": "get_weather", "parameters": parameters}}
    asked = [{"role": "user", "content": wish}]
    more = {"tools": [function], "tool_choice": "required", "parallel_tool_calls": False}
    answer = litellm.completion(**{**about, "messages": asked, "max_tokens": 100}, **more)
    Weather.model_validate_json(answer.choices[0].message.tool_calls[0].function.arguments)


def errors() -> None:
    try:
        litellm.completion(**{**about, "model": "openai/gpt-9"})
    except litellm.NotFoundError:
        return
    raise AssertionError("no error")


for what, work in [
    ("completion", completion),
    ("stream", stream),
    ("response_format", response_format),
    ("tools", tools),
    ("errors", errors),
]:
    check(what, work)
