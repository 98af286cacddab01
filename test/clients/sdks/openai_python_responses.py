"""OpenAI's client for Python, over its Responses API."""

from advice import Advice
from check import check, key, model, question, url
from openai import OpenAI, pydantic_function_tool
from weather import Weather, weather, wish

client = OpenAI(base_url=url, api_key=key)
about = {"model": model, "instructions": "Be brief.", "input": question, "max_output_tokens": 30}


def create() -> None:
    response = client.responses.create(**about)
    assert response.output_text.strip()
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def stream() -> None:
    text = ""
    for event in client.responses.create(**about, stream=True):
        text += event.delta if event.type == "response.output_text.delta" else ""
    assert event.type in ("response.completed", "response.incomplete")
    assert text == event.response.output_text


def stream_helper() -> None:
    text = ""
    # It reads nothing but answers that have come to their end.
    with client.responses.stream(model=model, input=question) as events:
        for event in events:
            text += event.delta if event.type == "response.output_text.delta" else ""
        assert text == events.get_final_response().output_text


def parse() -> None:
    response = client.responses.parse(model=model, input=question, text_format=Advice)
    assert response.output_parsed == Advice.model_validate_json(response.output_text)


def stream_and_parse() -> None:
    with client.responses.stream(model=model, input=question, text_format=Advice) as events:
        for _ in events:
            pass
        assert isinstance(events.get_final_response().output_parsed, Advice)


function = pydantic_function_tool(Weather, name="get_weather")["function"]
forced = {
    "model": model,
    "tools": [{"type": "function", **function}],
    "parallel_tool_calls": False,
}
asked = [{"role": "user", "content": wish}]


def tools() -> None:
    [call] = client.responses.parse(**forced, input=asked, tool_choice="required").output
    assert call.type == "function_call"
    city = Weather.model_validate_json(call.arguments).city
    result = {"type": "function_call_output", "call_id": call.call_id, "output": weather(city)}
    answered = client.responses.create(**forced, input=[*asked, call, result], tool_choice="none")
    assert answered.output_text.strip()


def stream_of_a_call() -> None:
    text = ""
    with client.responses.stream(**forced, input=asked, tool_choice="required") as events:
        for event in events:
            text += event.delta if event.type == "response.function_call_arguments.delta" else ""
        [call] = events.get_final_response().output
    assert call.arguments == text
    Weather.model_validate_json(text)


for what, work in [
    ("responses", create),
    ("responses: stream", stream),
    ("responses: stream helper", stream_helper),
    ("responses: parse", parse),
    ("responses: stream and parse", stream_and_parse),
    ("responses: tools", tools),
    ("responses: stream of a call", stream_of_a_call),
]:
    check(what, work)
