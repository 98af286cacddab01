/** OpenAI's client for JavaScript: functions that the model may call, and has to. */
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodFunction } from 'openai/helpers/zod';
import { z } from 'zod';
import { check, key, model, url } from './check.mjs';

const client = new OpenAI({ baseURL: url, apiKey: key });
const messages = [{ role: 'user', content: 'How is the weather in Oslo?' }];
const City = z.object({ city: z.enum(['Oslo', 'Rome']) });
const weather = {
  name: 'get_weather',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string', enum: ['Oslo', 'Rome'] } },
    required: ['city'],
    additionalProperties: false,
  },
};
const tools = [{ type: 'function', function: weather }];
const named = { type: 'function', function: { name: 'get_weather' } };

await check('tools', async () => {
  const request = { model, messages, tools, parallel_tool_calls: false };
  const asked = await client.chat.completions.create({ ...request, tool_choice: 'required' });
  const [{ message, finish_reason }] = asked.choices;
  const [call] = message.tool_calls;
  assert.equal(finish_reason, 'tool_calls');
  City.parse(JSON.parse(call.function.arguments));
  const told = [...messages, message, { role: 'tool', tool_call_id: call.id, content: '12 degrees' }];
  const answered = await client.chat.completions.create({ ...request, messages: told, max_tokens: 20 });
  assert.match(answered.choices[0].message.content, /\w/);
});

await check('tools: stream helper', async () => {
  const stream = client.chat.completions.stream({
    ...{ model, messages, tool_choice: named },
    tools: [zodFunction({ name: 'get_weather', parameters: City })],
  });
  let text = '';
  let done;
  stream.on('tool_calls.function.arguments.delta', ({ arguments_delta }) => {
    text += arguments_delta;
  });
  stream.on('tool_calls.function.arguments.done', ({ parsed_arguments }) => {
    done = parsed_arguments;
  });
  const [{ message }] = (await stream.finalChatCompletion()).choices;
  assert.equal(text, message.tool_calls[0].function.arguments);
  assert.deepEqual(done, City.parse(JSON.parse(text)));
});

/** Tells the weather, and remembers where it was asked for. */
function forecaster() {
  const cities = [];
  const tell = ({ city }) => {
    cities.push(city);
    return `12 degrees in ${city}`;
  };
  return { cities, tell };
}

await check('runTools (plain)', async () => {
  const { cities, tell } = forecaster();
  const tool = { type: 'function', function: { ...weather, parse: JSON.parse, function: tell } };
  const runner = client.chat.completions.runTools({ model, messages, tools: [tool], tool_choice: named });
  assert.equal(await runner.finalFunctionToolCallResult(), `12 degrees in ${cities[0]}`);
});

await check('runTools (zodFunction)', async () => {
  const { cities, tell } = forecaster();
  const tool = zodFunction({ name: 'get_weather', parameters: City, function: tell });
  const request = { model, messages, tools: [tool], tool_choice: 'required', parallel_tool_calls: false };
  const runner = client.chat.completions.runTools(request, { maxChatCompletions: 2 });
  await runner.done();
  assert.equal(cities.length, 2);
  assert.ok(cities.every((city) => City.safeParse({ city }).success));
  assert.ok((await runner.totalUsage()).completion_tokens > 0);
});

await check('runTools (stream)', async () => {
  const { cities, tell } = forecaster();
  const tool = zodFunction({ name: 'get_weather', parameters: City, function: tell });
  const request = { model, messages, tools: [tool], tool_choice: named, stream: true };
  const runner = client.chat.completions.runTools(request);
  assert.equal(await runner.finalFunctionToolCallResult(), `12 degrees in ${cities[0]}`);
});
