/** LangChain for JavaScript. */
import assert from 'node:assert/strict';
import { StringOutputParser } from '@langchain/core/output_parsers';
import { ChatPromptTemplate } from '@langchain/core/prompts';
import { ChatOpenAI } from '@langchain/openai';
import { z } from 'zod';
import { check, key, model, question, url } from './check.mjs';

const llm = new ChatOpenAI({ model, apiKey: key, maxTokens: 30, configuration: { baseURL: url } });

await check('invoke', async () => {
  const message = await llm.invoke(question);
  assert.match(message.content, /\w/);
  assert.ok(message.usage_metadata.output_tokens > 0);
});

await check('stream', async () => {
  let text = '';
  for await (const chunk of await llm.stream(question)) text += chunk.content;
  assert.match(text, /\w/);
});

await check('batch', async () => {
  const messages = await llm.batch([question, 'How do I boil an egg?']);
  assert.equal(messages.length, 2);
});

await check('chain', async () => {
  const prompt = ChatPromptTemplate.fromMessages([
    ['system', 'Be brief.'],
    ['user', 'How do I clean a {thing}?'],
  ]);
  const text = await prompt.pipe(llm).pipe(new StringOutputParser()).invoke({ thing: 'pan' });
  assert.match(text, /\w/);
});

await check('withStructuredOutput', async () => {
  const schema = z.object({ title: z.string().max(20), minutes: z.int().min(1).max(60) });
  const structured = new ChatOpenAI({ model, apiKey: key, configuration: { baseURL: url } });
  const advice = await structured.withStructuredOutput(schema, { method: 'jsonSchema' }).invoke(question);
  assert.deepEqual(advice, schema.parse(advice));
});
