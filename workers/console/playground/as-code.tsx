/** The same request from a program. The key is named, never shown: the page does not have it. */
import { useState } from 'preact/hooks';
import { CopyButton } from '../parts/copy-button.tsx';
import { type LaneLine, routeOf } from './ask.ts';

const LANGUAGES = ['curl', 'JavaScript', 'Python'] as const;
type Language = (typeof LANGUAGES)[number];

export function AsCode({ sent, line }: { sent: string; line: LaneLine }) {
  const [language, setLanguage] = useState<Language>('curl');
  const code = WRITE[language](JSON.parse(sent) as Sent, { origin: location.origin, route: routeOf(line) });
  return (
    <div class="code">
      <div class="code-head">
        <fieldset class="choice">
          <legend class="hidden">Language</legend>
          {LANGUAGES.map((each) => (
            <button
              type="button"
              key={each}
              class="quiet"
              aria-pressed={each === language}
              onClick={() => setLanguage(each)}
            >
              {each}
            </button>
          ))}
        </fieldset>
        <CopyButton text={code} />
      </div>
      <textarea
        class="code-text"
        aria-label={`The request as ${language}`}
        readOnly
        spellcheck={false}
        rows={9}
        value={code}
      />
    </div>
  );
}

type Sent = Record<string, unknown> & { plimsoll: unknown };
type Place = { origin: string; route: string };

const WRITE: Record<Language, (sent: Sent, place: Place) => string> = {
  curl: (sent, { origin, route }) =>
    `curl -N ${origin}${route} \\
  -H "authorization: Bearer $PLIMSOLL_KEY" -H 'content-type: application/json' \\
  --data ${shellQuoted(JSON.stringify(sent))}
`,
  JavaScript: (sent, { origin, route }) => `import OpenAI from 'openai';

const openai = new OpenAI({ baseURL: '${baseOf(origin, route)}', apiKey: process.env.PLIMSOLL_KEY });
const stream = await openai.${route.startsWith('/v1') ? 'chat.completions.create(' : `post('${tailOf(route)}', { stream: true, body: `}${indented(sent)}${route.startsWith('/v1') ? ')' : ' })'};
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
const tailOf = (route: string) => route;
const indented = (value: unknown) => JSON.stringify(value, null, 2);
const shellQuoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
/** JSON's strings are Python's, but for what is no ASCII, which both can escape. */
const pythonQuoted = (text: string) =>
  JSON.stringify(text).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
