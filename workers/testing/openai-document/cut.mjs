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
  'Response',
  'ResponseItemList',
  'ResponseStreamEvent',
];
/**
 * Of these, only the alternatives that are answered here: the others have tools of OpenAI's own
 * servers, and an answer with one would be wrong.
 */
const ANSWERED = {
  ItemResource: ['InputMessageResource', 'OutputMessage', 'FunctionToolCallResource', 'FunctionToolCallOutputResource'],
  OutputItem: ['OutputMessage', 'FunctionToolCall'],
  ResponseStreamEvent: [
    'ResponseCreatedEvent',
    'ResponseInProgressEvent',
    'ResponseOutputItemAddedEvent',
    'ResponseContentPartAddedEvent',
    'ResponseTextDeltaEvent',
    'ResponseTextDoneEvent',
    'ResponseRefusalDeltaEvent',
    'ResponseRefusalDoneEvent',
    'ResponseFunctionCallArgumentsDeltaEvent',
    'ResponseFunctionCallArgumentsDoneEvent',
    'ResponseContentPartDoneEvent',
    'ResponseOutputItemDoneEvent',
    'ResponseCompletedEvent',
    'ResponseIncompleteEvent',
    'ResponseFailedEvent',
    'ResponseErrorEvent',
  ],
  Tool: ['FunctionTool'],
  ToolChoiceParam: ['ToolChoiceOptions', 'ToolChoiceAllowed', 'ToolChoiceFunction'],
};
/** What is never answered: here `instructions` is a text, and no prompt is kept by its name. */
const NEVER = ['InputItem', 'Prompt'];
/** What says nothing about the form. */
const PROSE = ['description', 'example', 'examples', 'title', 'deprecated', 'default', 'discriminator'];
const REF = '#/components/schemas/';

const { components } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const found = {};

function collect(name) {
  if (Object.hasOwn(found, name)) return;
  found[name] = null;
  found[name] = cut(answered(name, components.schemas[name]));
}

function answered(name, schema) {
  const kept = ANSWERED[name];
  if (kept === undefined) return schema;
  const key = 'oneOf' in schema ? 'oneOf' : 'anyOf';
  const alternatives = schema[key].filter(({ $ref }) => kept.includes(nameOf($ref)));
  if (alternatives.length !== kept.length) throw new Error(`${name} has not all of ${kept}`);
  return { ...schema, [key]: alternatives };
}

function cut(value) {
  if (Array.isArray(value)) return value.filter((one) => !isNever(one)).map(cut);
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
  Object.fromEntries(
    Object.entries(properties)
      .filter(([, inner]) => !isNever(inner))
      .map(([name, inner]) => [name, cut(inner)]),
  );

const isNever = (schema) => NEVER.includes(nameOf(schema?.$ref ?? schema?.items?.$ref));
const nameOf = (ref) => ref?.slice(REF.length);

function refOr(key, value) {
  if (key !== '$ref') return cut(value);
  const name = nameOf(value);
  collect(name);
  return `#/$defs/${name}`;
}

for (const name of ROOTS) collect(name);
const sorted = Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)));
console.log(JSON.stringify({ $defs: sorted }, null, 2));
