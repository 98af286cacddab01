"""OpenAI's Agents SDK, over chat completions."""

import asyncio

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from check import check, key, model, question, url
from openai import AsyncOpenAI
from openai.types.responses import ResponseTextDeltaEvent

# Traces go to OpenAI.
set_tracing_disabled(True)


def agent() -> Agent:
    client = AsyncOpenAI(base_url=url, api_key=key)
    chosen = OpenAIChatCompletionsModel(model=model, openai_client=client)
    return Agent(name="Assistant", instructions="Be brief.", model=chosen)


def run() -> None:
    assert asyncio.run(Runner.run(agent(), question)).final_output.strip()


def stream() -> None:
    async def ask() -> str:
        text = ""
        async for event in Runner.run_streamed(agent(), question).stream_events():
            if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent):
                text += event.data.delta
        return text

    assert asyncio.run(ask()).strip()


check("run", run)
check("stream", stream)
