/**
 * Holds what we answer to OpenAI's own OpenAPI document: openai-document/README.md says which part
 * of it, and where it is from. What is held may have further fields.
 */
import { Ajv2020 } from 'ajv/dist/2020.js';
import document from './openai-document/schemas.json' with { type: 'json' };

const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
ajv.addSchema(document, 'openai');

/** Throws unless the value is what OpenAI's document calls by this name. */
export function holdToOpenAI(name: keyof typeof document.$defs, value: unknown): void {
  const check = ajv.getSchema(`openai#/$defs/${name}`);
  if (!check?.(value)) throw new Error(`not OpenAI's ${name}: ${ajv.errorsText(check?.errors)}`);
}

/** The chunks of a stream of server-sent events, each held to OpenAI's document. */
export function readHeldChunks(
  name: 'CreateChatCompletionStreamResponse' | 'CreateCompletionResponse',
  text: string,
): unknown[] {
  const chunks = [...text.matchAll(/^data: (\{.*\})$/gm)].map(([, json]): unknown => JSON.parse(json ?? ''));
  for (const chunk of chunks) holdToOpenAI(name, chunk);
  return chunks;
}

/** Throws unless OpenAI's document has such an event of a response. */
export function holdToOpenAIEvent(event: { type: string }): void {
  const name = EVENTS.get(event.type);
  if (name === undefined) throw new Error(`OpenAI has no event ${event.type}`);
  holdToOpenAI(name, event);
}

type EventName = Exclude<Extract<keyof typeof document.$defs, `Response${string}Event`>, 'ResponseStreamEvent'>;

/** The name of an event's schema, by the event's type. */
const EVENTS = new Map(
  document.$defs.ResponseStreamEvent.anyOf.flatMap(({ $ref }) => {
    // The cast: the cut has a definition for each reference.
    const name = $ref.slice('#/$defs/'.length) as EventName;
    return document.$defs[name].properties.type.enum.map((type): [string, EventName] => [type, name]);
  }),
);
