"""LangChain for Python."""

from advice import Advice
from check import check, key, model, question, url
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from weather import weather, wish

free = ChatOpenAI(model=model, api_key=key, base_url=url)
llm = ChatOpenAI(model=model, api_key=key, base_url=url, max_tokens=30)


def invoke() -> None:
    message = llm.invoke(question)
    assert message.content.strip()
    assert message.usage_metadata["output_tokens"] > 0


def stream() -> None:
    assert "".join(chunk.content for chunk in llm.stream(question)).strip()


def batch() -> None:
    assert len(llm.batch([question, "How do I boil an egg?"])) == 2


def chain() -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "How do I clean a {thing}?")])
    assert (prompt | llm | StrOutputParser()).invoke({"thing": "pan"}).strip()


def with_structured_output(method: str) -> None:
    structured = free.with_structured_output(Advice, method=method)
    assert isinstance(structured.invoke(question), Advice)


def bind_tools() -> None:
    forecast = tool(weather)
    asked = [HumanMessage(wish)]
    called = free.bind_tools([forecast], tool_choice="weather", strict=True).invoke(asked)
    result = forecast.invoke(called.tool_calls[0])
    assert result.content.startswith("12 degrees in ")
    assert llm.bind_tools([forecast]).invoke([*asked, called, result]).content.strip()


for what, work in [
    ("invoke", invoke),
    ("stream", stream),
    ("batch", batch),
    ("chain", chain),
    ("with_structured_output (json_schema)", lambda: with_structured_output("json_schema")),
    ("with_structured_output (function_calling)", lambda: with_structured_output("function_calling")),
    ("bind_tools", bind_tools),
]:
    check(what, work)
