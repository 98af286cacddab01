/** Vercel's AI SDK, with its provider for OpenAI: Responses, which is its default, and chat. */
import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, streamText } from 'ai';
import { checkObjects } from './ai-sdk-objects.mjs';
import { checkTools } from './ai-sdk-tools.mjs';
import { check, key, model, question, url } from './check.mjs';

const openai = createOpenAI({ baseURL: url, apiKey: key });

for (const [api, chosen] of [
  ['', openai(model)],
  [' (chat)', openai.chat(model)],
]) {
  await check(`generateText${api}`, async () => {
    const { text, usage } = await generateText({ model: chosen, prompt: question, maxOutputTokens: 30 });
    assert.match(text, /\w/);
    assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
  });

  await check(`streamText${api}`, async () => {
    const result = streamText({ model: chosen, prompt: question, maxOutputTokens: 30 });
    let text = '';
    for await (const delta of result.textStream) text += delta;
    assert.match(text, /\w/);
    assert.equal(text, await result.text);
  });

  await checkObjects(chosen, api);
  await checkTools(chosen, { api, providerOptions: { openai: { parallelToolCalls: false } } });
}
