/** Schemas that are small and could cost much: each is refused, or its work is small. */
import { describe, expect, test } from 'vitest';
import { PlimsollError } from '#shared/api/errors.ts';
import { Automaton, type State } from './automaton.ts';
import { compileGrammar } from './compile-grammar.ts';
import { MOST_WORK, Work } from './work.ts';

/** The error's code and what it cost; null: it compiled. */
function costOf(schema: unknown): { code: string | null; work: number } {
  const work = new Work();
  try {
    compileGrammar({ type: 'json_schema', schema: JSON.stringify(schema) }, { work });
    return { code: null, work: work.done };
  } catch (thrown) {
    if (!(thrown instanceof PlimsollError)) throw thrown;
    return { code: thrown.code, work: work.done };
  }
}

const twice = (name: string) => ({ allOf: [{ $ref: `#/$defs/${name}` }, { $ref: `#/$defs/${name}` }] });
const doubling = (levels: number, end: unknown) => ({
  $defs: Object.fromEntries(
    Array.from({ length: levels + 1 }, (_, i) => [`a${i}`, i < levels ? twice(`a${i + 1}`) : end]),
  ),
  $ref: '#/$defs/a0',
});
const members = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`a${i}`, 1]));
const minima = { anyOf: Array.from({ length: 256 }, (_, i) => ({ minimum: i })) };
const constants = { anyOf: Array.from({ length: 256 }, (_, i) => ({ const: i })) };
const pattern = (source: string) => ({ type: 'string', pattern: source });

describe('costs little', () => {
  test.each<[string, unknown, number]>([
    ['a chain of references to two of the next', doubling(30, { type: 'string' }), 50_000],
    ['a constant of many members', { const: members(1_000) }, 300_000],
    ['a bound of all doubles', { type: 'number', minimum: -Number.MAX_VALUE, maximum: Number.MAX_VALUE }, 200_000],
    [
      'a union of many objects with a constant each',
      {
        oneOf: Array.from({ length: 60 }, (_, i) => ({
          ...{ type: 'object', required: ['kind'], properties: { kind: { const: i } } },
        })),
      },
      1_500_000,
    ],
  ])('%s', (_name, schema, most) => {
    const { code, work } = costOf(schema);
    expect(code).toBeNull();
    expect(work).toBeLessThan(most);
  });
});

describe('is refused before it costs more than any grammar may', () => {
  test.each<[string, unknown, string]>([
    [
      'a chain of references that comes back',
      doubling(20, { anyOf: [{ $ref: '#/$defs/a0' }, true] }),
      'unsupported_value',
    ],
    ['a product of constants', { allOf: [constants, constants] }, 'unsupported_value'],
    ['a product of many alternatives', { allOf: [minima, minima] }, 'unsupported_value'],
    ['repetitions of nothing', pattern('^(?:(?:(?:){0,1000}){0,18}[ab])*a[ab]{7}$'), 'unsupported_value'],
    [
      'repetitions of nothing in each other',
      pattern('^(?:(?:(?:(?:(?:){1000}){1000}){1000}){1000}){1000}$'),
      'unsupported_value',
    ],
    ['a bound of hundreds of digits', { type: 'number', minimum: 1e-308, maximum: 1e308 }, 'unsupported_value'],
    ['a length beside a pattern', { ...pattern('a'), minLength: 9e9 }, 'invalid_value'],
    ['a constant of thousands of members', { const: members(9_000) }, 'invalid_value'],
    ['constants of thousands of members', { enum: [members(1_500), [members(1_500)]] }, 'invalid_value'],
  ])('%s', (_name, schema, expected) => {
    const { code, work } = costOf(schema);
    expect(code).toBe(expected);
    // The last thing it did is counted, too.
    expect(work).toBeLessThan(1.1 * MOST_WORK);
  });
});

test('a property may have the name of a keyword: its schema is no constant', () => {
  const properties = Object.fromEntries(['const', 'enum', 'properties'].map((name) => [name, { type: 'string' }]));
  expect(costOf({ type: 'object', properties }).code).toBeNull();
});

/** Objects in each other, each of which may be one of `width` that begin alike. */
const alike = (width: number, levels: number) => ({
  $defs: {
    ...Object.fromEntries(
      Array.from({ length: levels }, (_, i) => [
        `L${i}`,
        {
          anyOf: Array.from({ length: width }, (_, j) => ({
            type: 'object',
            properties: { a: { $ref: `#/$defs/L${i + 1}` }, [`b${j}`]: { type: 'null' } },
            required: ['a', `b${j}`],
            additionalProperties: false,
          })),
        },
      ]),
    ),
    [`L${levels}`]: { type: 'null' },
  },
  $ref: '#/$defs/L0',
});

test.each([
  [3, 3, null],
  [8, 4, 'unsupported_value'],
  [8, 12, 'unsupported_value'],
])('%i objects that begin alike, %i in each other, are read with bounded work', (width, levels, expected) => {
  const schema = JSON.stringify(alike(width, levels));
  const automaton = new Automaton(compileGrammar({ type: 'json_schema', schema }));
  let state: State | null = automaton.start;
  let code: string | null = null;
  try {
    for (const byte of new TextEncoder().encode('{"a":'.repeat(levels))) state = automaton.step(state!, byte);
  } catch (thrown) {
    if (!(thrown instanceof PlimsollError)) throw thrown;
    code = thrown.code;
  }
  expect(code).toBe(expected);
  expect(automaton.work).toBeLessThan(100_000);
});

test('all schemas of one grammar together are bounded', () => {
  const work = new Work();
  const triggers = Array.from({ length: 128 }, (_, i) => ({
    begin: `<call ${i}>`,
    body: { type: 'json_schema' as const, schema: JSON.stringify(pattern(`^[ab]*a[ab]{10}x${i}$`)) },
  }));
  const grammar = { type: 'triggered' as const, triggers, ...{ text: false, between: '', least: 1, most: 1 } };
  expect(() => compileGrammar(grammar, { work })).toThrow(/too much work/);
  expect(work.done).toBeLessThan(1.1 * MOST_WORK);
});
