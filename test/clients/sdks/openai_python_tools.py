"""OpenAI's client for Python: functions that the model may call, and has to."""

from check import check, key, model, url
from openai import OpenAI, pydantic_function_tool
from weather import Weather, weather, wish

client = OpenAI(base_url=url, api_key=key)
messages = [{"role": "user", "content": wish}]
request = {
    "model": model,
    "tools": [pydantic_function_tool(Weather, name="get_weather")],
    "parallel_tool_calls": False,
}


def tools() -> None:
    asked = client.chat.completions.parse(**request, messages=messages, tool_choice="required").choices[0]
    assert asked.finish_reason == "tool_calls"
    [call] = asked.message.tool_calls
    assert isinstance(call.function.parsed_arguments, Weather)
    result = {"role": "tool", "tool_call_id": call.id, "content": weather(call.function.parsed_arguments.city)}
    told = [*messages, asked.message, result]
    answered = client.chat.completions.create(**request, messages=told, max_tokens=20)
    assert answered.choices[0].message.content.strip()


def stream_helper() -> None:
    named = {"type": "function", "function": {"name": "get_weather"}}
    text = ""
    with client.chat.completions.stream(**request, messages=messages, tool_choice=named) as stream:
        for event in stream:
            text += event.arguments_delta if event.type == "tool_calls.function.arguments.delta" else ""
        [call] = stream.get_final_completion().choices[0].message.tool_calls
    assert call.function.arguments == text
    assert call.function.parsed_arguments == Weather.model_validate_json(text)


for what, work in [("tools", tools), ("tools: stream helper", stream_helper)]:
    check(what, work)
