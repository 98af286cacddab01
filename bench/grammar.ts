/**
 * What a grammar costs at each token: the mask of what may come next, and to go on by the token
 * that came. The first time, automata and masks are made; from then on they are kept. The texts
 * follow the schemas, so every token is one that an answer may have.
 *
 * Written down before measuring: at 49,152 tokens, 0.3 ms a token at the most in the median, the
 * first time too.
 */
import { bundleVocabulary } from '#gpu-backend/engine/bundle-vocabulary.ts';
import { GrammarMasks } from '#gpu-backend/engine/grammar-masks.ts';
import { openBundle } from '#gpu-backend/model/load-bundle.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import { benchFirstMasks } from './first-masks.ts';
import { median } from './harness/measure.ts';

const PERSON = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 60 },
    age: { type: 'integer', minimum: 0, maximum: 150 },
    tags: { type: 'array', items: { type: 'string' } },
    address: {
      type: 'object',
      properties: { city: { type: 'string' }, zip: { type: 'string', pattern: '^[0-9]{5}$' } },
      required: ['city', 'zip'],
      additionalProperties: false,
    },
  },
  required: ['name', 'age', 'tags', 'address'],
  additionalProperties: false,
};

const CASES: Readonly<Record<string, { grammar: Grammar; text: string }>> = {
  'a schema': {
    grammar: { type: 'json_schema', schema: JSON.stringify(PERSON) },
    text: '{"name": "Ada \\"Countess\\" Lovelace", "age": 36, "tags": ["mathematics", "poetry", "engines"], "address": {"city": "London", "zip": "12345"}}',
  },
  'any object': {
    grammar: { type: 'json_object' },
    text: '{\n  "title": "A week of rain",\n  "days": [1, 2.5, -3e+10, true, null],\n  "nested": {"a": {"b": {"c": []}}}\n}',
  },
  'text and calls': {
    grammar: {
      type: 'triggered',
      triggers: [
        {
          begin: '<tool>',
          body: { type: 'sequence', parts: [{ type: 'json_object' }, { type: 'literal', text: '</tool>' }] },
        },
      ],
      text: true,
      between: '',
      least: 0,
      most: null,
    },
    text: 'Let me look that up for you, it takes a moment. <tool>{"name": "weather", "arguments": {"city": "Paris"}}</tool>',
  },
};

export async function benchGrammar({
  rounds,
  bundleDir,
}: {
  rounds: number;
  bundleDir: string;
}): Promise<Record<string, number>> {
  const bundle = await openBundle(bundleDir);
  const vocabulary = bundleVocabulary(bundle);
  const size = bundle.config.vocab_size;
  console.log(`\n## Grammars: ${size} tokens of ${bundle.id}, ms\n`);
  console.log(
    '| grammar | tokens | compile, cold | a token, cold | a token, warm | longest, cold | a round, cold | rounds, warm |',
  );
  console.log('| --- | --- | --- | --- | --- | --- | --- | --- |');
  const measured: Record<string, number> = {};
  for (const [name, { grammar, text }] of Object.entries(CASES)) {
    const ids = bundle.tokenizer.encode(text);
    const cold: Round[] = [];
    const warm: Round[] = [];
    for (let round = 0; round < rounds; round++) {
      const masks = new GrammarMasks(vocabulary, { size });
      cold.push(follow(masks, grammar, ids));
      warm.push(follow(masks, grammar, ids));
    }
    const all = (some: readonly Round[]) => some.flatMap(({ tokens }) => tokens);
    const sums = (some: readonly Round[]) =>
      some.map(({ tokens }) => ms(tokens.reduce((sum, one) => sum + one, 0))).join(', ');
    const cells = [
      ...[name, ids.length, ms(median(cold.map(({ compile }) => compile)))],
      ...[ms(median(all(cold))), ms(median(all(warm))), ms(Math.max(...all(cold))), sums(cold), sums(warm)],
    ];
    console.log(`| ${cells.join(' | ')} |`);
    measured[`${name}, a token, cold`] = median(all(cold));
  }
  const encode = (text: string) => bundle.tokenizer.encode(text);
  return { ...measured, ...benchFirstMasks(vocabulary, { rounds, size, encode }) };
}

/** In milliseconds. */
type Round = { compile: number; tokens: number[] };

function follow(masks: GrammarMasks, grammar: Grammar, ids: readonly number[]): Round {
  const begun = performance.now();
  const mask = masks.maskOf(grammar);
  const compile = performance.now() - begun;
  const tokens = ids.map((id) => {
    const before = performance.now();
    const allowed = mask.allowed();
    if (allowed === null || ((allowed[id >> 5]! >>> (id & 31)) & 1) === 0) throw new Error(`refused token ${id}`);
    mask.accept(id);
    return performance.now() - before;
  });
  return { compile, tokens };
}

const ms = (value: number) => value.toFixed(value < 1 ? 4 : 1);
