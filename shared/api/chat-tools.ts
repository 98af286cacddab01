/** The tools of OpenAI's chat request: what there is to call. Whether to is in tool-choice.ts. */
import * as z from 'zod';
import { PlimsollError } from './errors.ts';
import { MAX_TOOL_JSON_CHARS, MAX_TOOLS, type Tool } from './tool-calls.ts';
import { repaired } from './well-formed.ts';

/** OpenAI's rule. */
const FUNCTION_NAME = /^[a-zA-Z0-9_-]{1,64}$/;
export const functionName = z.string().regex(FUNCTION_NAME, '1 to 64 letters, digits, underscores or dashes');

/** Deeper schemas are garbage, and every reader of one would have to take care. */
const MOST_LEVELS = 64;

/** A schema, as the JSON text that the model reads. */
const Parameters = z.record(z.string(), z.unknown()).transform((schema, { addIssue }) => {
  const problem = problemOf(schema);
  const json = problem === null ? jsonOf(schema) : '';
  if (problem === null && json.length <= MAX_TOOL_JSON_CHARS) return json;
  addIssue({
    code: 'custom',
    message: problem ?? `JSON of at most ${MAX_TOOL_JSON_CHARS} characters`,
    input: schema,
  });
  return z.NEVER;
});

const FunctionTool = z.object({
  type: z.literal('function'),
  function: z.object({
    name: functionName,
    description: repaired.nullish(),
    parameters: Parameters.nullish(),
    strict: z.boolean().nullish(),
  }),
});

/** A function that the model may call, and whether its arguments have to fit its schema. */
export type ChatTool = Tool & { strict: boolean };

export const Tools = z
  .array(FunctionTool)
  .max(MAX_TOOLS)
  .transform((tools): ChatTool[] =>
    tools.map(({ function: { name, description, parameters, strict } }) => ({
      name,
      ...(description != null && { description }),
      ...(parameters != null && { parameters }),
      strict: strict === true,
    })),
  )
  .superRefine((tools, { addIssue }) => {
    const seen = new Set<string>();
    for (const [i, { name }] of tools.entries()) {
      if (seen.has(name)) {
        addIssue({ code: 'custom', path: [i, 'function', 'name'], message: 'each name once', input: name });
      }
      seen.add(name);
    }
  });

/** The tools that the model is told of. A client that lets it call none wants it told of none. */
export function offeredTools({
  tools,
  tool_choice,
}: {
  tools?: readonly ChatTool[] | null | undefined;
  tool_choice?: unknown;
}): readonly ChatTool[] {
  return tool_choice === 'none' ? [] : (tools ?? []);
}

/** The same, as the model is told: whether arguments have to fit is nothing that it learns. */
export const toldTools = (chat: Parameters<typeof offeredTools>[0]): Tool[] =>
  offeredTools(chat).map(({ strict: _, ...tool }) => tool);

/** What came before tools, and its successor. */
const LEGACY = { functions: 'tools', function_call: 'tool_choice' };
export const LEGACY_FIELDS = Object.keys(LEGACY);

/**
 * Throws for what came before tools, and says what has come in its place. A body is read as it
 * came.
 */
export function refuseLegacyFunctions(body: unknown): void {
  if (typeof body !== 'object' || body === null) return;
  // The cast: any object may be read by names.
  const fields = body as Readonly<Record<string, unknown>>;
  for (const [field, successor] of Object.entries(LEGACY)) {
    const value = fields[field];
    const isNothing = value == null || (Array.isArray(value) && value.length === 0) || value === 'none';
    if (isNothing || (field === 'function_call' && value === 'auto')) continue;
    throw new PlimsollError(
      'unsupported_parameter',
      `'${field}' is not supported by this server: use '${successor}', which has replaced it.`,
      { param: field },
    );
  }
}

/** What is wrong with a value that should be JSON; null if it is right. */
function problemOf(value: unknown): string | null {
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MOST_LEVELS) return `JSON of at most ${MOST_LEVELS} levels`;
    const next: unknown[] = [];
    for (const one of level) {
      if (typeof one === 'string' && !one.isWellFormed()) return 'text without lone surrogates';
      if (typeof one !== 'object' || one === null) continue;
      for (const [key, inner] of Object.entries(one)) {
        if (!key.isWellFormed()) return 'text without lone surrogates';
        next.push(inner);
      }
    }
    level = next;
  }
  return null;
}

/** A whole number that no JavaScript number holds loses its last digits: it bounds nothing real. */
function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? Number(inner) : inner));
}
