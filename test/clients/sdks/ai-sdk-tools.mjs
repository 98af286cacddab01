/** What the AI SDK makes of tools, with any of its models. */
import assert from 'node:assert/strict';
import { generateText, isStepCount, streamText, tool } from 'ai';
import { z } from 'zod';
import { check } from './check.mjs';

const prompt = 'How is the weather in Oslo?';
const City = z.object({ city: z.enum(['Oslo', 'Rome']) });

/**
 * @param api what to call it in the table, if it is not the provider's only one
 * @param providerOptions how this provider is asked for one call at a time
 */
export async function checkTools(model, { api = '', providerOptions } = {}) {
  const request = () => {
    const cities = [];
    const weather = tool({
      inputSchema: City,
      execute: async ({ city }) => {
        cities.push(city);
        return `12 degrees in ${city}`;
      },
    });
    return {
      cities,
      asked: {
        ...{ model, prompt, providerOptions, tools: { weather }, stopWhen: isStepCount(2) },
        prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? 'required' : 'none' }),
      },
    };
  };

  await check(`tools${api}`, async () => {
    const { cities, asked } = request();
    const { steps, text } = await generateText(asked);
    assert.equal(steps.length, 2);
    assert.deepEqual(
      steps[0].toolResults.map(({ output }) => output),
      cities.map((city) => `12 degrees in ${city}`),
    );
    assert.match(text, /\w/);
  });

  await check(`streamed tools${api}`, async () => {
    const { cities, asked } = request();
    const result = streamText(asked);
    const called = [];
    for await (const part of result.fullStream) if (part.type === 'tool-call') called.push(part.input.city);
    assert.deepEqual(called, cities);
    assert.ok(cities.length > 0);
    assert.match(await result.text, /\w/);
  });
}
