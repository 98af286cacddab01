/** A request as a program. The key is named, never shown: the page does not have it. */

export const LANGUAGES = ['curl', 'JavaScript', 'Python'] as const;
export type Language = (typeof LANGUAGES)[number];

export type Sent = Record<string, unknown> & { plimsoll: unknown };
type Place = { origin: string; route: string };

export function writeCode(language: Language, sent: Sent, place: Place): string {
  return WRITE[language](sent, place);
}

const WRITE: Record<Language, (sent: Sent, place: Place) => string> = {
  curl: (sent, { origin, route }) =>
    `curl -N ${origin}${route} \\
  -H "authorization: Bearer $PLIMSOLL_KEY" -H 'content-type: application/json' \\
  --data ${shellQuoted(JSON.stringify(sent))}
`,
  JavaScript: (sent, { origin, route }) => `import OpenAI from 'openai';

const openai = new OpenAI({ baseURL: '${baseOf(origin, route)}', apiKey: process.env.PLIMSOLL_KEY });
const stream = await openai.${route.startsWith('/v1') ? 'chat.completions.create(' : `post('${route}', { stream: true, body: `}${indented(sent)}${route.startsWith('/v1') ? ')' : ' })'};
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '');
`,
  Python: ({ plimsoll, ...sent }, { origin, route }) =>
    route.startsWith('/v1')
      ? `import json, os
from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key=os.environ["PLIMSOLL_KEY"])
request = json.loads(${pythonQuoted(JSON.stringify(sent))})
extra = json.loads(${pythonQuoted(JSON.stringify({ plimsoll }))})
for chunk in client.chat.completions.create(**request, extra_body=extra):
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
`
      : `import os, urllib.request

request = urllib.request.Request(
    "${origin}${route}",
    data=${pythonQuoted(JSON.stringify({ ...sent, plimsoll }))}.encode(),
    headers={"authorization": f"Bearer {os.environ['PLIMSOLL_KEY']}", "content-type": "application/json"},
)
for line in urllib.request.urlopen(request):
    print(line.decode(), end="")
`,
};

const baseOf = (origin: string, route: string) => (route.startsWith('/v1') ? `${origin}/v1` : origin);
const indented = (value: unknown) => JSON.stringify(value, null, 2);
const shellQuoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
/** JSON's strings are Python's, but for what is no ASCII, where each has an escape of its own. */
const pythonQuoted = (text: string) => JSON.stringify(text).replace(/[\u{7f}-\u{10ffff}]/gu, pythonEscape);

/** JSON writes a character beyond U+FFFF as two halves, which Python takes for two characters. */
function pythonEscape(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  return code > 0xffff ? `\\U${hex.padStart(8, '0')}` : `\\u${hex.padStart(4, '0')}`;
}
