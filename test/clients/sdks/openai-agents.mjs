/** OpenAI's Agents SDK for JavaScript, over Responses, which is its default, and over chat. */
import assert from 'node:assert/strict';
import { Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, run, setTracingDisabled, tool } from '@openai/agents';
import OpenAI from 'openai';
import { z } from 'zod';
import { check, key, model, question, url } from './check.mjs';

// Traces go to OpenAI.
setTracingDisabled(true);

const client = new OpenAI({ baseURL: url, apiKey: key });
const Advice = z.object({ title: z.string().max(20), minutes: z.int().min(1).max(60) });

const City = z.object({ city: z.enum(['Oslo', 'Rome']) });

for (const [api, chosen] of [
  ['', new OpenAIResponsesModel(client, model)],
  [' (chat)', new OpenAIChatCompletionsModel(client, model)],
]) {
  const agent = new Agent({ name: 'Assistant', instructions: 'Be brief.', model: chosen });

  await check(`run${api}`, async () => {
    assert.match((await run(agent, question)).finalOutput, /\w/);
  });

  await check(`stream${api}`, async () => {
    const result = await run(agent, question, { stream: true });
    let text = '';
    for await (const delta of result.toTextStream()) text += delta;
    await result.completed;
    assert.equal(text, result.finalOutput);
  });

  await check(`outputType${api}`, async () => {
    const { finalOutput } = await run(agent.clone({ outputType: Advice }), question);
    assert.deepEqual(finalOutput, Advice.parse(finalOutput));
  });

  await check(`tool${api}`, async () => {
    const cities = [];
    const weather = tool({
      name: 'get_weather',
      description: 'The weather in a city.',
      parameters: City,
      execute: async ({ city }) => {
        cities.push(city);
        return '12 degrees';
      },
    });
    // After a call, the SDK forces none.
    const modelSettings = { toolChoice: 'required', parallelToolCalls: false };
    const able = agent.clone({ tools: [weather], modelSettings });
    const { finalOutput } = await run(able, 'How is the weather in Oslo?');
    assert.equal(cities.length, 1);
    assert.match(finalOutput, /\w/);
  });
}
