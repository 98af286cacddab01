"""OpenAI's Agents SDK, over Responses, which is its default, and over chat."""

import asyncio
from collections.abc import Awaitable, Callable

from advice import Advice
from agents import (
    Agent,
    Model,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from check import check, key, model, question, url
from openai import AsyncOpenAI
from openai.types.responses import ResponseTextDeltaEvent
from weather import weather, wish

# Traces go to OpenAI.
set_tracing_disabled(True)



def agent(chosen: Model, **more: object) -> Agent:
    return Agent(name="Assistant", instructions="Be brief.", model=chosen, **more)


async def run(chosen: Model) -> None:
    result = await Runner.run(agent(chosen), question)
    assert result.final_output.strip()


async def stream(chosen: Model) -> None:
    text = ""
    async for event in Runner.run_streamed(agent(chosen), question).stream_events():
        if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent):
            text += event.data.delta
    assert text.strip()


async def output_type(chosen: Model) -> None:
    result = await Runner.run(agent(chosen, output_type=Advice), question)
    assert isinstance(result.final_output, Advice)


async def tool(chosen: Model) -> None:
    # After a call, the SDK forces none.
    settings = ModelSettings(tool_choice="required", parallel_tool_calls=False)
    able = agent(chosen, tools=[function_tool(weather)], model_settings=settings)
    result = await Runner.run(able, wish)
    outputs = [item.output for item in result.new_items if item.type == "tool_call_output_item"]
    assert len(outputs) == 1 and outputs[0].startswith("12 degrees in ")
    assert result.final_output.strip()


async def ask(work: Callable[[Model], Awaitable[None]], kind: type[Model]) -> None:
    """A client belongs to one event loop, so each check has its own."""
    async with AsyncOpenAI(base_url=url, api_key=key) as client:
        await work(kind(model=model, openai_client=client))


for kind, api in [(OpenAIResponsesModel, ""), (OpenAIChatCompletionsModel, " (chat)")]:
    for work in [run, stream, output_type, tool]:
        check(f"{work.__name__}{api}", lambda work=work, kind=kind: asyncio.run(ask(work, kind)))
