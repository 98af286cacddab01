/**
 * The first mask in the states that a grammar comes to: nothing of it is known, only the tree of
 * the tokens, which an engine makes when it loads. Also states that are as hard as a schema may be.
 *
 * Written down before measuring: at 49,152 tokens, 10 ms at most in the usual states, 50 ms in any.
 * The quickest of the rounds is what a mask takes on a quiet core. Processor time of this thread is
 * the same in the median, in steps of some milliseconds.
 */
import { GrammarMasks } from '#gpu-backend/engine/grammar-masks.ts';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import { median } from './harness/measure.ts';

const schema = (value: unknown): Grammar => ({ type: 'json_schema', schema: JSON.stringify(value) });
const numbered = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const ANY_OBJECT: Grammar = { type: 'json_object' };

/** The grammar, and what has been answered so far. */
const STATES: Readonly<Record<string, [Grammar, string]>> = {
  'inside a string': [schema({ type: 'string' }), '"hello'],
  'inside a string with a length': [schema({ type: 'string', minLength: 8, maxLength: 60 }), '"hello'],
  'inside a string with a pattern': [schema({ type: 'string', pattern: '^[a-z ]{1,40}$' }), '"hello'],
  'inside a number': [schema({ type: 'number' }), '12'],
  'white space': [ANY_OBJECT, '{\n  '],
  'between keys': [ANY_OBJECT, '{"a": 1, '],
  'before a value': [ANY_OBJECT, '{"a": '],
  'free text': [{ type: 'text', without: ['<tool>'] }, 'Hello'],
  'free text with 128 calls': [
    {
      type: 'triggered',
      triggers: numbered(128, (i) => ({ begin: `<tool>{"name": "tool${i}"`, body: ANY_OBJECT })),
      ...{ text: true, between: '', least: 0, most: null },
    },
    'Hello',
  ],
  'free text, then an object': [{ type: 'sequence', parts: [{ type: 'text', without: [] }, ANY_OBJECT] }, 'Hello'],
  'one of 1,000 values': [schema({ enum: numbered(1_000, (i) => `value ${i}`) }), '"'],
  'one of 100 objects': [
    schema({
      anyOf: numbered(100, (i) => ({ type: 'object', properties: { kind: { const: i } }, required: ['kind'] })),
    }),
    '{',
  ],
  '2,000 optional properties': [
    schema({
      type: 'object',
      properties: Object.fromEntries(numbered(2_000, (i) => [`name${i}`, { type: 'string' }])),
    }),
    '{',
  ],
};

export function benchFirstMasks(
  vocabulary: Vocabulary,
  { rounds, size, encode }: { rounds: number; size: number; encode: (text: string) => readonly number[] },
): Record<string, number> {
  const made: number[] = [];
  const costs = new Map<string, Cost[]>(Object.keys(STATES).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, [grammar, text]] of Object.entries(STATES)) {
      const { cost, result: masks } = costOf(() => new GrammarMasks(vocabulary, { size }));
      made.push(cost.ms);
      const mask = masks.maskOf(grammar);
      for (const id of encode(text)) mask.accept(id);
      costs.get(name)!.push(costOf(() => mask.allowed()).cost);
    }
  }
  console.log(`\n## First masks: ${size} tokens, ms\n`);
  console.log(`The tree of tokens, once for each engine: ${Math.min(...made).toFixed(1)}\n`);
  console.log('| where | the first mask, quickest | median | median, processor time |');
  console.log('| --- | --- | --- | --- |');
  const measured: Record<string, number> = {};
  for (const [name, all] of costs) {
    const ms = all.map((cost) => cost.ms);
    const cells = [Math.min(...ms), median(ms), median(all.map(({ processorMs }) => processorMs))];
    console.log(`| ${name} | ${cells.map((cell) => cell.toFixed(2)).join(' | ')} |`);
    measured[`the first mask, ${name}`] = cells[0]!;
  }
  return measured;
}

type Cost = { ms: number; processorMs: number };

function costOf<T>(run: () => T): { cost: Cost; result: T } {
  const begun = performance.now();
  const before = process.threadCpuUsage();
  const result = run();
  const { user, system } = process.threadCpuUsage(before);
  return { cost: { ms: performance.now() - begun, processorMs: (user + system) / 1_000 }, result };
}
