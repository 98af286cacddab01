/** OpenAI's client for JavaScript, over its Responses API. */
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodResponsesFunction, zodTextFormat } from 'openai/helpers/zod';
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

const City = z.object({ city: z.enum(['Oslo', 'Rome']) });
const weather = {
  ...{ model, tools: [zodResponsesFunction({ name: 'get_weather', parameters: City })] },
  ...{ tool_choice: 'required', parallel_tool_calls: false },
};
const input = [{ role: 'user', content: 'How is the weather in Oslo?' }];

await check('responses: tools', async () => {
  const { output } = await client.responses.parse({ ...weather, input });
  const [call] = output;
  assert.equal(call.type, 'function_call');
  assert.deepEqual(call.parsed_arguments, City.parse(JSON.parse(call.arguments)));
  const told = [...input, ...output, { type: 'function_call_output', call_id: call.call_id, output: '12 degrees' }];
  const answered = await client.responses.create({ ...weather, input: told, tool_choice: 'none' });
  assert.match(answered.output_text, /\w/);
});

await check('responses: stream of a call', async () => {
  const stream = client.responses.stream({ ...weather, input });
  let text = '';
  stream.on('response.function_call_arguments.delta', ({ delta }) => {
    text += delta;
  });
  const [call] = (await stream.finalResponse()).output;
  assert.equal(call.arguments, text);
  assert.deepEqual(call.parsed_arguments, City.parse(JSON.parse(text)));
});
