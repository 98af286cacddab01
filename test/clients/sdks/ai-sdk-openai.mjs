/** Vercel's AI SDK, with its provider for OpenAI. */
import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, streamText } from 'ai';
import { check, key, model, question, url } from './check.mjs';

const openai = createOpenAI({ baseURL: url, apiKey: key });

await check('generateText (chat)', async () => {
  const { text } = await generateText({ model: openai.chat(model), prompt: question, maxOutputTokens: 30 });
  assert.match(text, /\w/);
});

await check('streamText (chat)', async () => {
  const { textStream } = streamText({ model: openai.chat(model), prompt: question, maxOutputTokens: 30 });
  let text = '';
  for await (const delta of textStream) text += delta;
  assert.match(text, /\w/);
});
