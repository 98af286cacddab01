/** Vercel's AI SDK, with its provider for whatever speaks OpenAI's language. */
import assert from 'node:assert/strict';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, streamText } from 'ai';
import { checkObjects } from './ai-sdk-objects.mjs';
import { checkTools } from './ai-sdk-tools.mjs';
import { check, key, model as name, question, url } from './check.mjs';

const provider = createOpenAICompatible({
  name: 'plimsoll',
  baseURL: url,
  apiKey: key,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const model = provider(name);

await check('generateText', async () => {
  const { text, usage, finishReason } = await generateText({
    model,
    system: 'Be brief.',
    prompt: question,
    maxOutputTokens: 30,
  });
  assert.match(text, /\w/);
  assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
  assert.match(finishReason, /^(stop|length)$/);
});

await check('streamText', async () => {
  const result = streamText({ model, prompt: question, maxOutputTokens: 30 });
  let text = '';
  for await (const delta of result.textStream) text += delta;
  assert.match(text, /\w/);
  assert.equal(text, await result.text);
  assert.ok((await result.usage).outputTokens > 0);
});

await checkObjects(model);
await checkTools(model, { providerOptions: { plimsoll: { parallel_tool_calls: false } } });

await check('errors', async () => {
  const asked = generateText({ model: provider('gpt-9'), prompt: question, maxRetries: 0 });
  await assert.rejects(asked, (error) => APICallError.isInstance(error) && error.statusCode === 404);
});
