/**
 * OpenAI's own schemas of responses and their events, to hold ours to. They are a part of its
 * OpenAPI document: fixtures/openai-schemas.json says which.
 */
import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import * as z from 'zod';

const Document = z.object({ events: z.record(z.string(), z.string()), $defs: z.record(z.string(), z.looseObject({})) });
const { events, $defs } = Document.parse(
  JSON.parse(readFileSync(new URL('./fixtures/openai-schemas.json', import.meta.url), 'utf8')),
);

const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
ajv.addSchema({ $defs }, 'openai');

/** Throws unless OpenAI's document has such a response, or such a list of items. */
export function demandOpenAI(name: 'Response' | 'ResponseItemList', value: unknown): void {
  demand(name, value);
}

/** Throws unless OpenAI's document has such an event. */
export function demandOpenAIEvent(event: { type: string }): void {
  const name = events[event.type];
  if (name === undefined) throw new Error(`OpenAI has no event ${event.type}`);
  demand(name, event);
}

function demand(name: string, value: unknown): void {
  const check = ajv.getSchema(`openai#/$defs/${name}`);
  if (check === undefined) throw new Error(`OpenAI has no ${name}`);
  if (!check(value)) throw new Error(`not OpenAI's ${name}: ${ajv.errorsText(check.errors)}`);
}
