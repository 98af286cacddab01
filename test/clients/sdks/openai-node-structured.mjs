/** OpenAI's client for JavaScript: answers that it reads by a schema of Zod. */
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { check, key, model, url } from './check.mjs';

const client = new OpenAI({ baseURL: url, apiKey: key });
const messages = [
  { role: 'system', content: 'Extract the event information.' },
  { role: 'user', content: 'Alice and Bob are going to a science fair on Friday.' },
];
const CalendarEvent = z.object({
  name: z.string().max(20),
  date: z.iso.date(),
  kind: z.enum(['fair', 'concert']),
  participants: z.array(z.string().max(12)).max(3),
});
const request = { model, messages, response_format: zodResponseFormat(CalendarEvent, 'event') };

await check('parse', async () => {
  const { choices } = await client.chat.completions.parse(request);
  const { parsed, content, refusal } = choices[0].message;
  assert.deepEqual(parsed, CalendarEvent.parse(JSON.parse(content)));
  assert.equal(refusal, null);
});

await check('stream and parse', async () => {
  const stream = client.chat.completions.stream({ ...request, seed: 7 });
  let done;
  stream.on('content.done', ({ parsed }) => {
    done = parsed;
  });
  const { choices } = await stream.finalChatCompletion();
  assert.deepEqual(done, CalendarEvent.parse(choices[0].message.parsed));
});

await check('cut off', async () => {
  const cut = client.chat.completions.parse({ ...request, max_tokens: 5 });
  await assert.rejects(cut, OpenAI.LengthFinishReasonError ?? /length/);
});

await check('json_object', async () => {
  const { choices } = await client.chat.completions.create({
    model,
    messages,
    max_tokens: 40,
    response_format: { type: 'json_object' },
  });
  assert.match(choices[0].message.content, /^\s*\{/);
});
