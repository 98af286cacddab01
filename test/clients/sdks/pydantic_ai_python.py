"""Pydantic AI."""

import asyncio
from collections.abc import Callable

from advice import Advice
from check import check, key, model, question, url
from pydantic_ai import Agent, ModelSettings, NativeOutput, RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from weather import weather, wish


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


def output_type() -> None:
    assert isinstance(agent().run_sync(question, output_type=Advice).output, Advice)


class InTurn(AbstractCapability):
    """Forces the function in the first step, and no further one."""

    def get_model_settings(self) -> Callable[[RunContext], ModelSettings]:
        return lambda context: ModelSettings(
            tool_choice=["weather"] if context.run_step == 1 else "none",
            parallel_tool_calls=False,
        )


def tool_and_native_output() -> None:
    able = Agent(agent().model, tools=[weather], output_type=NativeOutput(Advice), capabilities=[InTurn()])
    result = able.run_sync(wish)
    assert isinstance(result.output, Advice)
    parts = [part for message in result.all_messages() for part in message.parts]
    returns = [part.content for part in parts if part.part_kind == "tool-return" and part.tool_name == "weather"]
    assert len(returns) == 1 and returns[0].startswith("12 degrees in ")


check("run", run)
check("stream", stream)
check("NativeOutput", native_output)
check("output_type", output_type)
check("tool and NativeOutput", tool_and_native_output)
