"""OpenAI's own client, unchanged: a whole answer, a streamed one, and one under a stricter line."""

import os

from openai import OpenAI

url = os.environ.get("PLIMSOLL_URL", "http://127.0.0.1:8787")
client = OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("PLIMSOLL_KEY", "pk-demo-balanced"))

request = {
    "model": "plimsoll-demo",
    "messages": [{"role": "user", "content": "How do I get rid of mould on a wall?"}],
    # The same request with the same seed gets the same answer.
    "seed": 1,
    "max_tokens": 60,
}


def nats(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


print("# A whole answer")
answer = client.chat.completions.create(**request)
print(answer.choices[0].message.content)

# Everything that Plimsoll adds to the answer is under this one key. The client's types do not include it, so it is an
# extra field.
line = answer.model_extra["plimsoll"]
print(f"tenant {line['policy']['tenant']}, policy {line['policy']['version']}")
print(f"floor {line['floor']}, safety weights from {line['weights']['min']:.2f} to {line['weights']['max']:.2f}")
print(f"budget {nats(line['budget'])}, spent {nats(line['spent'])} nats")

print("\n# The same answer, streamed")
for chunk in client.chat.completions.create(**request, stream=True):
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
# In a stream, the last chunk has the `plimsoll` data of the whole answer.
print(f"\nspent {nats(chunk.model_extra['plimsoll']['spent'])} nats")

print("\n# Under a stricter line, token by token")
# A request can raise its tenant's floor and lower its budget, never the reverse.
strict = client.chat.completions.create(
    **request, extra_body={"plimsoll": {"floor": 0.9, "budget": 1, "trace": "tokens"}}
)
print(strict.choices[0].message.content)
# `spent` is how much likelier the answer so far is, in nats, than the safety expert alone would find it.
print(f"{'text':12} weight  floor  spent")
for token in strict.model_extra["plimsoll"]["tokens"][:8]:
    print(f"{token['text']!r:12} {token['weight']:6.2f} {token['floor']:6.2f} {nats(token['spent']):>6}")
