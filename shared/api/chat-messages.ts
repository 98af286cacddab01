/**
 * The messages of OpenAI's chat request. What comes out has one form: every content is a text, and
 * every call has an id that counts the conversation's calls, whatever the client has called it.
 */
import * as z from 'zod';
import { PlimsollError } from './errors.ts';
import { describeFound } from './invalid-request.ts';
import { callId, MAX_CALLS, MAX_TOOL_JSON_CHARS, type PastCall } from './tool-calls.ts';
import { repaired } from './well-formed.ts';

/** More turns than any conversation has, but too few to turn a small body into a lot of work. */
export const MAX_MESSAGES = 2048;

const text = repaired;

/** A refusal is what an assistant has said, too. */
const Part = z.union([
  z.object({ type: z.literal('text'), text }),
  z.object({ type: z.literal('refusal'), refusal: text }).transform(({ refusal }) => ({ text: refusal })),
]);

/** A text, or parts of one. */
export const TextContent = z.union([
  text,
  z
    .array(Part)
    .min(1)
    .transform((parts) => parts.map((part) => part.text).join('\n')),
]);

const whole = (string: z.ZodString) => string.transform((found) => found.toWellFormed());

const Call = z.object({
  id: z.string().min(1),
  type: z.literal('function'),
  function: z.object({ name: whole(z.string().min(1)), arguments: whole(z.string().max(MAX_TOOL_JSON_CHARS)) }),
});

const Role = z.enum(['system', 'developer', 'user', 'assistant', 'tool']);

const fields = z.object({
  role: Role,
  content: TextContent.nullish(),
  refusal: text.nullish(),
  tool_calls: z.array(Call).max(MAX_CALLS).nullish(),
  tool_call_id: z.string().nullish(),
});
/** The fields of a message that are read. */
export const MESSAGE_FIELDS = Object.keys(fields.shape);

export const RequestMessage = fields.transform(({ role, content, refusal, tool_calls, tool_call_id }, { issues }) => {
  const isAssistant = role === 'assistant';
  const calls = isAssistant ? (tool_calls ?? []) : [];
  const misplaced = Object.entries({
    tool_calls: !isAssistant && tool_calls,
    refusal: !isAssistant && refusal,
    tool_call_id: role !== 'tool' && tool_call_id,
  }).find(
    ([, value]) => value != null && value !== false && value !== '' && !(Array.isArray(value) && value.length === 0),
  );
  if (misplaced !== undefined) {
    const [field, input] = misplaced;
    issues.push({ code: 'custom', message: `no such field in a message of the role "${role}"`, input, path: [field] });
    return z.NEVER;
  }
  const said = textSaid({ content, refusal: isAssistant ? refusal : null, calls });
  if (said === null) {
    issues.push({ code: 'invalid_type', expected: 'string', input: content, path: ['content'] });
    return z.NEVER;
  }
  if (role === 'tool' && tool_call_id == null) {
    issues.push({ code: 'invalid_type', expected: 'string', input: tool_call_id, path: ['tool_call_id'] });
    return z.NEVER;
  }
  return { role: role === 'developer' ? ('system' as const) : role, content: said, calls, answers: tool_call_id };
});
type RequestMessage = z.infer<typeof RequestMessage>;

/**
 * All the text of a message. A refusal is what an assistant has said, as its content is: neither is
 * left out. null: there is nothing in the message, not even a call.
 */
export function textSaid({
  content,
  refusal,
  calls,
}: {
  content: string | null | undefined;
  refusal: string | null | undefined;
  calls: readonly unknown[];
}): string | null {
  if (refusal && content) return `${content}\n${refusal}`;
  return (refusal || content) ?? refusal ?? (calls.length > 0 ? '' : null);
}

export type LinkedMessage = {
  role: 'system' | 'user' | 'assistant' | 'tool';
  content: string;
  tool_calls?: PastCall[] | undefined;
  tool_call_id?: string | undefined;
};

/**
 * The conversation as a backend gets it. Throws unless every call is followed by its result, and
 * every result follows its call: templates leave out what does not belong together, and the model
 * would read another conversation than the client sent.
 */
export function linkCalls(messages: readonly RequestMessage[]): LinkedMessage[] {
  let count = 0;
  /** The calls that wait for their results: the client's id and ours. */
  let open = new Map<string, string>();
  let openedAt = 0;
  const linked = messages.map(({ role, content, calls, answers }, i): LinkedMessage => {
    if (role === 'tool') {
      const id = open.get(answers!);
      if (id === undefined) throw withoutCall(i, answers!);
      open.delete(answers!);
      return { role, content, tool_call_id: id };
    }
    refuseOpen(open, openedAt);
    if (calls.length === 0) return { role, content };
    open = new Map(calls.map(({ id }) => [id, callId(count++)]));
    openedAt = i;
    if (open.size < calls.length) throw sameId(calls, i);
    return {
      role,
      content,
      tool_calls: calls.map(({ id, function: called }) => ({ id: open.get(id)!, ...called })),
    };
  });
  refuseOpen(open, openedAt);
  return linked;
}

function withoutCall(i: number, found: string): PlimsollError {
  const param = `messages[${i}].tool_call_id`;
  const expected = "the id of a call in 'tool_calls' of the assistant's message before, that has no result yet";
  return new PlimsollError(
    'invalid_value',
    `Invalid value for '${param}': expected ${expected}, found ${describeFound(found)}.`,
    { param },
  );
}

function sameId(calls: RequestMessage['calls'], i: number): PlimsollError {
  const at = calls.findIndex(({ id }, j) => calls.findIndex((other) => other.id === id) < j);
  const param = `messages[${i}].tool_calls[${at}].id`;
  const found = describeFound(calls[at]!.id);
  return new PlimsollError(
    'invalid_value',
    `Invalid value for '${param}': expected each id once, found ${found} again.`,
    {
      param,
    },
  );
}

function refuseOpen(open: ReadonlyMap<string, string>, at: number): void {
  const [missing] = open.keys();
  if (missing === undefined) return;
  const param = `messages[${at}].tool_calls`;
  throw new PlimsollError(
    'invalid_value',
    `Invalid value for '${param}': expected a message of the role "tool" behind it for each call, found none for the 'tool_call_id' ${describeFound(missing)}.`,
    { param },
  );
}
