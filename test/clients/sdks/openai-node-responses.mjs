/** OpenAI's client for JavaScript, over its Responses API. */
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { check, key, model, question, url } from './check.mjs';

const client = new OpenAI({ baseURL: url, apiKey: key });
const request = { model, instructions: 'Be brief.', input: question, max_output_tokens: 30, seed: 7 };
const Advice = z.object({ title: z.string().max(20), minutes: z.int().min(1).max(60), hard: z.boolean() });

await check('responses', async () => {
  const response = await client.responses.create(request);
  assert.match(response.output_text, /\w/);
  assert.equal(response.usage.total_tokens, response.usage.input_tokens + response.usage.output_tokens);
});

await check('responses: stream', async () => {
  let text = '';
  let last;
  for await (const event of await client.responses.create({ ...request, stream: true })) {
    if (event.type === 'response.output_text.delta') text += event.delta;
    last = event;
  }
  assert.match(last.type, /^response\.(completed|incomplete)$/);
  assert.equal(text, (await client.responses.create(request)).output_text);
});

await check('responses: stream helper', async () => {
  const stream = client.responses.stream(request);
  let text = '';
  stream.on('response.output_text.delta', ({ delta }) => {
    text += delta;
  });
  assert.equal((await stream.finalResponse()).output_text, text);
});

await check('responses: parse', async () => {
  const format = zodTextFormat(Advice, 'advice');
  const response = await client.responses.parse({ model, input: question, text: { format } });
  assert.deepEqual(response.output_parsed, Advice.parse(JSON.parse(response.output_text)));
});

await check('responses: stream and parse', async () => {
  const format = zodTextFormat(Advice, 'advice');
  const stream = client.responses.stream({ model, input: question, text: { format } });
  const { output_parsed, output_text } = await stream.finalResponse();
  assert.deepEqual(output_parsed, Advice.parse(JSON.parse(output_text)));
});
