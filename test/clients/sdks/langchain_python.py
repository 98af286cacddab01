"""LangChain for Python."""

from advice import Advice
from check import check, key, model, question, url
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

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


def with_structured_output() -> None:
    structured = ChatOpenAI(model=model, api_key=key, base_url=url).with_structured_output(Advice)
    assert isinstance(structured.invoke(question), Advice)


for what, work in [
    ("invoke", invoke),
    ("stream", stream),
    ("batch", batch),
    ("chain", chain),
    ("with_structured_output", with_structured_output),
]:
    check(what, work)
