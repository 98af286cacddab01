import type { ChatRequest } from '#shared/api/chat-request.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { type HeldCalls, heldCalls } from '#shared/api/tool-choice.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import { callGrammar } from '#shared/tools/call-grammar.ts';
import type { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import { objectSchema } from './object-schema.ts';

/** What a chat request wants its answer to look like. */
export type AskedGrammar = {
  grammar: Grammar;
  /** The field that says so, and which values of it would not. */
  param: string;
  unheld: string;
  /** What of it the client has written, in the order of an answer. */
  spells: Grammar;
  /** Schemas in it that have fields of their own. */
  parts: readonly { grammar: Grammar; param: string }[];
  /** Whether calls stand at the start of an answer, behind a mark, or nowhere. */
  alone: boolean;
};

/**
 * null: free text. Throws a PlimsollError if two fields say something, or if calls are to be held
 * to a schema that is not one of objects.
 *
 * @param syntax in which the model writes calls; null if the request offers no tools
 */
export function grammarOfChat(chat: ChatRequest, { syntax }: { syntax: ToolSyntax | null }): AskedGrammar | null {
  const format = formatOfChat(chat);
  const held = heldCalls(chat);
  const asked = held === null || (held.asked === null && format === null) ? format : callsOf(held, { format, syntax });
  if (asked !== null && chat.allowed_token_ids != null) {
    throw new PlimsollError(
      'invalid_value',
      `'allowed_token_ids' and '${asked.param}' cannot be used together: what both allow may have no end. Leave one out.`,
      { param: 'allowed_token_ids' },
    );
  }
  return asked;
}

/** The field that holds a request's answer to a grammar; null if none does. */
export const grammarField = (chat: ChatRequest): string | null =>
  heldCalls(chat)?.asked?.param ?? formatOfChat(chat)?.param ?? null;

function callsOf(
  { functions, forced, single, asked }: HeldCalls,
  { format, syntax }: { format: AskedGrammar | null; syntax: ToolSyntax | null },
): AskedGrammar {
  // Whoever asks is told so elsewhere; here, nothing may go unheld.
  if (syntax === null) throw new Error('the syntax of calls is not known');
  const parts = functions.flatMap(({ parameters, index, fits }) => {
    const field = `tools[${index}].function.parameters`;
    return fits ? [{ index, param: field, grammar: ofSchema(objectSchema(parameters ?? null, field)) }] : [];
  });
  const schemas = new Map(parts.map(({ index, grammar }) => [index, grammar]));
  const held = functions.map(({ name, index }) => ({ name, arguments: schemas.get(index) ?? ANY_OBJECT }));
  // An answer that has to call has no other form.
  const otherwise = forced ? null : format;
  const spells = held.flatMap((one): Grammar[] => [{ type: 'literal', text: one.name }, one.arguments]);
  return {
    grammar: callGrammar(syntax, { functions: held, forced, single, otherwise: otherwise?.grammar ?? null }),
    param: asked?.param ?? format!.param,
    unheld: asked?.unheld ?? format!.unheld,
    spells: { type: 'sequence', parts: [...spells, ...(otherwise === null ? [] : [otherwise.grammar])] },
    parts: [...parts, ...(otherwise === null ? [] : [otherwise])],
    alone: otherwise !== null,
  };
}

const ANY_OBJECT: Grammar = { type: 'json_object' };

/** What is asked of an answer that calls nothing. */
function formatOfChat(chat: ChatRequest): AskedGrammar | null {
  const { response_format: format, guided_json: guided, structured_outputs: structured } = chat;
  const asked: AskedGrammar[] = [];
  const add = (param: string, grammar: Grammar) => {
    const unheld = param === 'response_format' ? '{"type":"text"}' : 'the field left out';
    asked.push({ ...{ grammar, param, unheld }, spells: grammar, parts: [], alone: false });
  };
  if (format?.type === 'json_object') add('response_format', ANY_OBJECT);
  if (format?.type === 'json_schema') {
    const { schema } = format.json_schema;
    add('response_format', schema == null ? ANY_OBJECT : ofSchema(schema));
  }
  if (guided != null) add('guided_json', ofSchema(guided));
  if (structured?.json != null) add('structured_outputs', ofSchema(structured.json));
  if (structured?.json_object === true) add('structured_outputs', ANY_OBJECT);
  if (asked.length > 1) {
    const [first, { param }] = asked as [AskedGrammar, AskedGrammar];
    throw new PlimsollError('invalid_value', `'${param}' says what '${first.param}' says already: leave one out.`, {
      param,
    });
  }
  return asked[0] ?? null;
}

function ofSchema(schema: Record<string, unknown> | string): Grammar {
  return { type: 'json_schema', schema: typeof schema === 'string' ? schema : textOf(schema) };
}

/** In the order in which it came. A long number may have become a bigint. */
const textOf = (schema: object) =>
  JSON.stringify(schema, (_name, value: unknown) => (typeof value === 'bigint' ? Number(value) : value));
