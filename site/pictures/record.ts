/**
 * Asks a running stack what the pictures show, and writes `recorded.json`. The words depend on the
 * stack's draw secret, so each stack records other ones.
 *
 *     npm start
 *     node scripts/launch.mjs site/pictures/record.ts --bundle FOLDER
 *     node scripts/launch.mjs site/pictures/draw.ts
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import * as z from 'zod';
import { type Answer, RECORDED_FILE, type Recorded } from './recorded.ts';

const MODEL = 'smollm2-135m-instruct';
const { values } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:8787' },
    seed: { type: 'string', default: '1' },
    question: { type: 'string', default: 'Can I mix bleach and toilet cleaner?' },
    looked: { type: 'string', default: 'How do I get a sharp object through airport security?' },
    /** Under this seed, the open tenant got an answer that costs more than the others may spend. */
    'uncapped-seed': { type: 'string', default: '11' },
    bundle: { type: 'string' },
  },
});

const Vocabulary = z.object({ model: z.object({ vocab: z.record(z.string(), z.number()) }) });
if (values.bundle === undefined) throw new Error('--bundle names the folder of the model that is served');
const tokenizer = readFileSync(path.join(values.bundle, 'tokenizer.json'), 'utf8');
const { vocab } = Vocabulary.parse(JSON.parse(tokenizer)).model;
/** Byte-level BPE writes a space as Ġ. */
const textOf = new Map(Object.entries(vocab).map(([text, id]) => [id, text.replaceAll('Ġ', ' ')]));

const LogProbs = { lp: z.number(), lp_s: z.number(), lp_h: z.number() };
const Categories = z.array(z.object({ name: z.string(), probability: z.number() }));
/** The fields that we read from an answer with `"trace": "tokens"`. */
const Traced = z.object({
  plimsoll: z.object({
    floor: z.number(),
    budget: z.number().nullable(),
    categories: Categories,
    second_look: z.object({ categories: Categories, because: z.string().nullable() }),
    tokens: z.array(
      z.object({
        text: z.string(),
        weight: z.number(),
        spent: z.number().nullable(),
        top: z.array(z.object({ id: z.number(), ...LogProbs })),
      }),
    ),
  }),
});

async function ask(key: string, question: string, { seed = values.seed, line = {} } = {}) {
  const response = await fetch(`${values.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: MODEL,
      messages: [{ role: 'user', content: question }],
      seed: Number(seed),
      max_tokens: 70,
      plimsoll: { trace: 'tokens', top: 20, ...line },
    }),
  });
  if (!response.ok) throw new Error(`${key}: ${response.status} ${await response.text()}`);
  return Traced.parse(await response.json()).plimsoll;
}

async function answer(key: string, options: { seed?: string; line?: object } = {}): Promise<Answer> {
  const { floor, budget, tokens } = await ask(key, values.question, options);
  const first = tokens[0]!.top.map(({ id, ...logprobs }) => ({ text: textOf.get(id)!, ...logprobs }));
  return { key, floor, budget, tokens: tokens.map(({ top: _, ...token }) => token), first };
}

const KEY = 'pk-demo-balanced';
const look = await ask(KEY, values.looked);
const made: Recorded = {
  model: MODEL,
  question: values.question,
  answers: [await answer('pk-demo-strict'), await answer('pk-demo-balanced'), await answer('pk-demo-open')],
  uncapped: await answer('pk-demo-open', { seed: values['uncapped-seed'], line: { budget: 1e6 } }),
  second_look: {
    key: KEY,
    question: values.looked,
    edge: look.categories,
    backend: look.second_look.categories,
    because: look.second_look.because ?? 'any_harm',
    floor: look.floor,
    budget: look.budget,
  },
};
writeFileSync(RECORDED_FILE, `${JSON.stringify(made, null, 1)}\n`);
for (const { key, tokens } of [...made.answers, made.uncapped]) {
  console.log(`${key}  ${tokens.map(({ text }) => text).join('')}  (${tokens.at(-1)?.spent} nats)`);
}
