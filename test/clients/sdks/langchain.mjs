/** LangChain for JavaScript. */
import assert from 'node:assert/strict';
import { HumanMessage } from '@langchain/core/messages';
import { StringOutputParser } from '@langchain/core/output_parsers';
import { ChatPromptTemplate } from '@langchain/core/prompts';
import { tool } from '@langchain/core/tools';
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

const free = new ChatOpenAI({ model, apiKey: key, configuration: { baseURL: url } });
const Advice = z.object({ title: z.string().max(20), minutes: z.int().min(1).max(60) });

for (const method of ['jsonSchema', 'functionCalling']) {
  await check(`withStructuredOutput (${method})`, async () => {
    const advice = await free.withStructuredOutput(Advice, { method }).invoke(question);
    assert.deepEqual(advice, Advice.parse(advice));
  });
}

await check('bindTools', async () => {
  const weather = tool(async ({ city }) => `12 degrees in ${city}`, {
    name: 'get_weather',
    description: 'The weather in a city.',
    schema: z.object({ city: z.enum(['Oslo', 'Rome']) }),
  });
  const asked = [new HumanMessage('How is the weather in Oslo?')];
  const called = await free.bindTools([weather], { tool_choice: 'get_weather' }).invoke(asked);
  const result = await weather.invoke(called.tool_calls[0]);
  assert.match(result.content, /^12 degrees in (Oslo|Rome)$/);
  const answer = await llm.bindTools([weather]).invoke([...asked, called, result]);
  assert.match(answer.content, /\w/);
});
