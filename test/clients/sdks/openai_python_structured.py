"""OpenAI's client for Python: answers that it reads as models of Pydantic."""

from advice import Advice
from check import check, key, model, question, url
from openai import LengthFinishReasonError, OpenAI

client = OpenAI(base_url=url, api_key=key)
request = {"model": model, "messages": [{"role": "user", "content": question}], "response_format": Advice}


def parse() -> None:
    message = client.chat.completions.parse(**request).choices[0].message
    assert message.parsed == Advice.model_validate_json(message.content)
    assert message.refusal is None


def stream_and_parse() -> None:
    done = None
    with client.chat.completions.stream(**request) as stream:
        for event in stream:
            if event.type == "content.done":
                done = event.parsed
        assert isinstance(done, Advice)
        assert stream.get_final_completion().choices[0].message.parsed == done


def cut_off() -> None:
    try:
        client.chat.completions.parse(**request, max_tokens=5)
    except LengthFinishReasonError as error:
        assert error.completion.usage.completion_tokens == 5
    else:
        raise AssertionError("no error")


for what, work in [("parse", parse), ("stream and parse", stream_and_parse), ("cut off", cut_off)]:
    check(what, work)
