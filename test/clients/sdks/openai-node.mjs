/** OpenAI's client for JavaScript. */
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { check, key, model, question, url } from './check.mjs';

const client = new OpenAI({ baseURL: url, apiKey: key });
const messages = [{ role: 'user', content: question }];

await check('chat', async () => {
  const completion = await client.chat.completions.create({ model, messages, max_tokens: 30 });
  assert.match(completion.choices[0].message.content, /\w/);
  assert.equal(completion.usage.total_tokens, completion.usage.prompt_tokens + completion.usage.completion_tokens);
  assert.match(completion._request_id, /^req_/);
});

await check('stream', async () => {
  const request = { model, messages, max_tokens: 30, seed: 7 };
  const whole = await client.chat.completions.create(request);
  const stream = await client.chat.completions.create({
    ...request,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = '';
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? '';
    usage ??= chunk.usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.deepEqual(usage, whole.usage);
});

await check('stream helper', async () => {
  const stream = client.chat.completions.stream({ model, messages, max_tokens: 30 });
  let text = '';
  stream.on('content', (delta) => {
    text += delta;
  });
  const completion = await stream.finalChatCompletion();
  assert.equal(text, completion.choices[0].message.content);
});

await check('abort', async () => {
  const stream = await client.chat.completions.create({ model, messages, stream: true });
  let chunks = 0;
  for await (const _chunk of stream) if (++chunks === 3) stream.controller.abort();
  const left = new AbortController();
  const asked = client.chat.completions.create({ model, messages }, { signal: left.signal });
  left.abort();
  await assert.rejects(asked, OpenAI.APIUserAbortError);
});

await check('completions', async () => {
  const { choices, usage } = await client.completions.create({ model, prompt: question, max_tokens: 20, seed: 7 });
  assert.match(choices[0].text, /\w/);
  assert.ok(usage.completion_tokens > 0);
  const stream = await client.completions.create({ model, prompt: question, max_tokens: 20, seed: 7, stream: true });
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.text ?? '';
  assert.equal(text, choices[0].text);
});

await check('models', async () => {
  const ids = [];
  for await (const { id, created } of await client.models.list()) {
    ids.push(id);
    assert.ok(created > 1_600_000_000);
  }
  assert.ok(ids.includes(model));
  assert.equal((await client.models.retrieve(model)).id, model);
});

await check('moderations', async () => {
  const { results } = await client.moderations.create({
    model: 'omni-moderation-latest',
    input: ['I want to kill myself', question],
  });
  assert.deepEqual(
    results.map(({ flagged }) => flagged),
    [true, false],
  );
  assert.equal(results[0].categories['self-harm'], true);
  assert.deepEqual(results[0].category_applied_input_types['self-harm'], ['text']);
});

await check('errors', async () => {
  const wrong = new OpenAI({ baseURL: url, apiKey: 'pk-wrong' });
  await assert.rejects(wrong.models.list(), OpenAI.AuthenticationError);
  const unknown = client.chat.completions.create({ model: 'gpt-9', messages });
  await assert.rejects(unknown, (error) => error instanceof OpenAI.NotFoundError && error.code === 'model_not_found');
  const hot = client.chat.completions.create({ model, messages, temperature: 3 });
  await assert.rejects(hot, (error) => error instanceof OpenAI.BadRequestError && error.param === 'temperature');
});
