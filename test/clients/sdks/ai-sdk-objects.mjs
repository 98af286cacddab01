/** What the AI SDK makes of a schema, with any of its models. */
import assert from 'node:assert/strict';
import { generateObject, generateText, Output, streamObject, streamText } from 'ai';
import { z } from 'zod';
import { check, question as prompt } from './check.mjs';

const schema = z.object({ title: z.string().max(20), minutes: z.int().min(1).max(60), hard: z.boolean() });

/** @param api what to call it in the table, if it is not the provider's only one */
export async function checkObjects(model, api = '') {
  await check(`generateObject${api}`, async () => {
    const { object, usage } = await generateObject({ model, schema, prompt });
    assert.deepEqual(object, schema.parse(object));
    assert.ok(usage.outputTokens > 0);
  });

  await check(`streamObject${api}`, async () => {
    const result = streamObject({ model, schema, prompt });
    let last;
    for await (const partial of result.partialObjectStream) last = partial;
    assert.deepEqual(await result.object, schema.parse(last));
  });

  await check(`generateText with Output${api}`, async () => {
    const kinds = ['kitchen', 'garden'];
    const { output } = await generateText({ model, output: Output.choice({ options: kinds }), prompt });
    assert.ok(kinds.includes(output));
  });

  await check(`streamText with Output${api}`, async () => {
    const result = streamText({ model, output: Output.object({ schema }), prompt });
    let last;
    for await (const partial of result.partialOutputStream) last = partial;
    assert.deepEqual(await result.output, schema.parse(last));
  });
}
