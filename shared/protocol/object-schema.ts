import { PlimsollError } from '#shared/api/errors.ts';
import { describeFound } from '#shared/api/invalid-request.ts';

/** A function without a schema takes no arguments, says OpenAI. */
const NO_PARAMETERS = '{"type":"object","properties":{},"additionalProperties":false}';

/**
 * The JSON text of a schema for a call's arguments, which are an object whatever else a schema
 * would allow. Throws if it allows none.
 *
 * @param parameters the JSON text of the tool's schema; null: it has none
 */
export function objectSchema(parameters: string | null, param: string): string {
  if (parameters === null) return NO_PARAMETERS;
  // The cast: the request's schema has taken objects alone.
  const schema = JSON.parse(parameters) as Record<string, unknown>;
  const { type } = schema;
  if (type === 'object') return parameters;
  const isOpen = type === undefined || (Array.isArray(type) && type.includes('object'));
  if (isOpen) return JSON.stringify({ ...schema, type: 'object' });
  throw new PlimsollError(
    'invalid_value',
    `Invalid value for '${param}.type': expected "object", found ${describeFound(type)}.`,
    { param: `${param}.type` },
  );
}
