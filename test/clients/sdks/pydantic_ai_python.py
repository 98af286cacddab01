"""Pydantic AI."""

import asyncio

from advice import Advice
from check import check, key, model, question, url
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


def agent() -> Agent:
    provider = OpenAIProvider(base_url=url, api_key=key)
    return Agent(OpenAIChatModel(model, provider=provider), instructions="Be brief.")


def run() -> None:
    assert agent().run_sync(question).output.strip()


def stream() -> None:
    async def ask() -> str:
        async with agent().run_stream(question) as result:
            return "".join([text async for text in result.stream_text(delta=True)])

    assert asyncio.run(ask()).strip()


def native_output() -> None:
    assert isinstance(agent().run_sync(question, output_type=NativeOutput(Advice)).output, Advice)


check("run", run)
check("stream", stream)
check("NativeOutput", native_output)
