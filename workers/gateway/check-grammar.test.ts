/** What reading a request's schemas may cost, in units of work, and who has to wait. */
import { expect, test } from 'vitest';
import { LOOSEST } from '#policies/schema.ts';
import { parseChatRequest } from '#shared/api/chat-request.ts';
import { compileGrammar } from '#shared/grammar/compile-grammar.ts';
import { MOST_WORK, Work } from '#shared/grammar/work.ts';
import { type AskedGrammar, grammarOfChat } from '#shared/protocol/grammar-of-chat.ts';
import { createRateBound } from '../request/rate-bound.ts';
import { createCheckGrammar } from './check-grammar.ts';

const acme = { tenant: 'acme', policy: LOOSEST };

/** Schemas whose patterns are dear: half a million units each. */
const dear = (tag: string) => ({
  type: 'object',
  additionalProperties: false,
  properties: Object.fromEntries(
    Array.from({ length: 4 }, (_, i) => [`p${i}`, { type: 'string', pattern: `^[ab]*a[ab]{10}${tag}x${i}$` }]),
  ),
});

function toolsOf(schemas: readonly object[]): AskedGrammar {
  const chat = parseChatRequest({
    model: 'm',
    messages: [{ role: 'user', content: 'hi' }],
    tool_choice: 'required',
    tools: schemas.map((parameters, i) => ({ type: 'function', function: { name: `f${i}`, parameters } })),
  });
  return grammarOfChat(chat, { syntax: 'hermes' })!;
}

/** Also the units that it took: how far a bound has to be for there to be room for one more. */
function checked(asked: AskedGrammar): { error: unknown; units: number } {
  let units = 0;
  const counting = createRateBound({ most: Infinity, periodMs: 60_000 });
  const bound = {
    ...counting,
    take(name: string, count = 1) {
      units += count;
      return counting.take(name, count);
    },
  };
  try {
    createCheckGrammar({ bound })(asked, acme);
    return { error: null, units };
  } catch (error) {
    return { error, units };
  }
}

test('all schemas of a request together are bounded, and the rest is not read', () => {
  const { error, units } = checked(toolsOf(Array.from({ length: 128 }, (_, i) => dear(String(i)))));
  expect(error).toMatchObject({
    code: 'unsupported_value',
    param: expect.stringMatching(/^tools\[\d+\]\.function\.parameters$/),
    message: expect.stringMatching(/makes the request's schemas too much work/),
  });
  expect(units).toBeGreaterThan(MOST_WORK);
  expect(units).toBeLessThan(1.1 * MOST_WORK);
});

test('a schema that comes again in a request is read once', () => {
  const once = checked(toolsOf([dear('a')]));
  const often = checked(toolsOf(Array.from({ length: 128 }, () => dear('a'))));
  expect(once.error).toBeNull();
  expect(often.error).toBeNull();
  // The automata are joined, and its words read, for each tool.
  expect(often.units).toBeLessThan(2 * once.units);
});

test('what is read for a request is little more than what the engine reads', () => {
  const asked = toolsOf(Array.from({ length: 4 }, (_, i) => dear(String(i))));
  const work = new Work();
  compileGrammar(asked.grammar, { work });
  expect(checked(asked).units).toBeLessThan(1.2 * work.done);
});

test('who sends ever new schemas that are dear has to wait, and others do not', () => {
  let nowMs = 0;
  const bound = createRateBound({ most: MOST_WORK, periodMs: 60_000, now: () => nowMs });
  const check = createCheckGrammar({ bound });
  const refused = toolsOf(Array.from({ length: 16 }, (_, i) => dear(String(i))));
  expect(() => check(refused, acme)).toThrow(expect.objectContaining({ code: 'unsupported_value' }) as Error);
  const cheap = toolsOf([{ type: 'object', properties: { a: { type: 'integer' } } }]);
  expect(() => check(cheap, acme)).toThrow(
    expect.objectContaining({ code: 'rate_limit_exceeded', retryAfterSeconds: 60 }) as Error,
  );
  // It is known.
  expect(() => check(refused, acme)).toThrow(expect.objectContaining({ code: 'unsupported_value' }) as Error);
  check(cheap, { ...acme, tenant: 'globex' });
  nowMs = 60_000;
  check(cheap, acme);
});
