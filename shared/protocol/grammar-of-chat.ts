import type { ChatRequest } from '#shared/api/chat-request.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';

/** What a chat request wants its answer to look like, and the field that says so. */
export type AskedGrammar = { grammar: Grammar; param: string };

/** null: free text. Throws a PlimsollError if two fields say something. */
export function grammarOfChat(chat: ChatRequest): AskedGrammar | null {
  const { response_format: format, guided_json: guided, structured_outputs: structured } = chat;
  const asked: AskedGrammar[] = [];
  if (format?.type === 'json_object') asked.push({ grammar: { type: 'json_object' }, param: 'response_format' });
  if (format?.type === 'json_schema') {
    const { schema } = format.json_schema;
    asked.push({ grammar: schema == null ? { type: 'json_object' } : ofSchema(schema), param: 'response_format' });
  }
  if (guided != null) asked.push({ grammar: ofSchema(guided), param: 'guided_json' });
  if (structured?.json != null) asked.push({ grammar: ofSchema(structured.json), param: 'structured_outputs' });
  if (structured?.json_object === true) asked.push({ grammar: { type: 'json_object' }, param: 'structured_outputs' });
  if (asked.length > 1) {
    const [first, { param }] = asked as [AskedGrammar, AskedGrammar];
    throw new PlimsollError('invalid_value', `'${param}' says what '${first.param}' says already: leave one out.`, {
      param,
    });
  }
  const [only] = asked;
  if (only !== undefined && chat.allowed_token_ids != null) {
    throw new PlimsollError(
      'invalid_value',
      `'allowed_token_ids' and '${only.param}' cannot be used together: what both allow may have no end. Leave one out.`,
      { param: 'allowed_token_ids' },
    );
  }
  return only ?? null;
}

function ofSchema(schema: Record<string, unknown> | string): Grammar {
  return { type: 'json_schema', schema: typeof schema === 'string' ? schema : textOf(schema) };
}

/** In the order in which it came. A long number may have become a bigint. */
const textOf = (schema: object) =>
  JSON.stringify(schema, (_name, value: unknown) => (typeof value === 'bigint' ? Number(value) : value));
