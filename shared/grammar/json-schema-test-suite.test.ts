/**
 * JSON Schema's own tests for draft 2020-12. A schema is either refused, with the keyword that is
 * not supported, or its grammar accepts just the valid values, as JSON.stringify writes them.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { PlimsollError } from '#shared/api/errors.ts';
import { Automaton } from './automaton.ts';
import { compileGrammar } from './compile-grammar.ts';
import { acceptsText, writings } from './testing/accepts-text.ts';

type Group = {
  file: string;
  description: string;
  schema: unknown;
  tests: { description: string; data: unknown; valid: boolean }[];
};

const GROUPS = readFileSync(new URL('fixtures/json-schema-test-suite.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  // The cast: this is how the file was made.
  .map((line) => JSON.parse(line) as Group);

let compared = 0;
let supported = 0;

function compiled(schema: unknown): Automaton | PlimsollError {
  try {
    return new Automaton(compileGrammar({ type: 'json_schema', schema: JSON.stringify(schema) }));
  } catch (thrown) {
    if (thrown instanceof PlimsollError) return thrown;
    throw thrown;
  }
}

describe.each([...Map.groupBy(GROUPS, ({ file }) => file)])('%s', (file, groups) => {
  test.each(groups.map((group) => [group.description, group] as const))('%s', (_description, { schema, tests }) => {
    const automaton = compiled(schema);
    if (automaton instanceof PlimsollError) {
      const allowsNothing = /allows no value/.test(automaton.message);
      if (allowsNothing) expect(tests.filter(({ valid }) => valid)).toEqual([]);
      else expect(automaton.message).toMatch(/^The grammar, at "#.*",/);
      return;
    }
    supported++;
    const accepted = tests.map(({ data }) => writings(data).some((text) => acceptsText(automaton, text)));
    const wrong = tests.filter(({ valid }, i) => accepted[i] !== valid && !(valid && isStricter(file)));
    compared += tests.length;
    expect(wrong.map(({ description: name, valid }) => `${name}: ${valid}`)).toEqual([]);
  });
});

/**
 * Where not every valid value is accepted: formats, which the draft only notes and a grammar holds,
 * and which it knows in part, whole numbers of more than 21 digits, and multiples of a fraction
 * with more than 15.
 */
const isStricter = (file: string) => /format|bignum|float-overflow/.test(file);

test('most schemas without rare keywords are supported, and a refusal names the place', () => {
  expect(GROUPS.length).toBe(423);
  expect({ supported, compared }).toEqual({ supported: 224, compared: 1184 });
});
