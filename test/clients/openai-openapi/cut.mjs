/**
 * Cuts the schemas that our tests need out of OpenAI's OpenAPI document, with all that they refer
 * to, as JSON Schema.
 */
import { readFileSync } from 'node:fs';

const ROOTS = [
  'CreateChatCompletionResponse',
  'CreateChatCompletionStreamResponse',
  'CreateCompletionResponse',
  'CreateModerationResponse',
  'ErrorResponse',
  'ListModelsResponse',
  'Model',
];
/** What says nothing about the form. */
const PROSE = ['description', 'example', 'examples', 'title', 'deprecated'];
const REF = '#/components/schemas/';

const { components } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const found = {};

function collect(name) {
  if (Object.hasOwn(found, name)) return;
  found[name] = null;
  found[name] = cut(components.schemas[name]);
}

function cut(value) {
  if (Array.isArray(value)) return value.map(cut);
  if (typeof value !== 'object' || value === null) return value;
  const { nullable = false, ...rest } = value;
  const kept = Object.entries(rest).filter(([key]) => !PROSE.includes(key) && !key.startsWith('x-'));
  const schema = Object.fromEntries(
    kept.map(([key, inner]) => (key === 'properties' ? [key, cutEach(inner)] : [key, refOr(key, inner)])),
  );
  // A word of OpenAPI 3.0, which JSON Schema does not have.
  return nullable === true ? { anyOf: [schema, { type: 'null' }] } : schema;
}

/** A property may have the name of a keyword, as `title` does. */
const cutEach = (properties) =>
  Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, cut(inner)]));

function refOr(key, value) {
  if (key !== '$ref') return cut(value);
  const name = value.slice(REF.length);
  collect(name);
  return `#/$defs/${name}`;
}

for (const name of ROOTS) collect(name);
const sorted = Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)));
console.log(JSON.stringify({ $defs: sorted }, null, 2));
