/** SmolLM2-135M-Instruct in our engine against llama.cpp, on the same weights in f32. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Template } from '@huggingface/jinja';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { openGguf } from '#gpu-backend/gguf/open-gguf.ts';
import { type Bundle, loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { installLlamaCpp, type Likely, LlamaCpp } from '../llama-cpp.ts';
import { smolLm2F32Gguf, writeSmolLm2Bundle } from '../smollm2-bundle.ts';
import { smolLm2Gguf } from '../smollm2-gguf.ts';
import { realTexts } from './real-texts.ts';

/** Why this cannot run here. */
let missing: string | undefined;
let gguf: string;
let dir: string;
let bundle: Bundle;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'smollm2-'));
  const found = await smolLm2Gguf();
  missing = 'missing' in found ? found.missing : await installLlamaCpp();
  if (missing !== undefined) return console.warn(`SKIPPED, SmolLM2 or llama.cpp is not here: ${missing}`);
  // Just checked.
  gguf = (found as { file: string }).file;
  await writeSmolLm2Bundle(gguf, path.join(dir, 'bundle'));
  bundle = await loadBundle(path.join(dir, 'bundle'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const PROMPTS = [
  'What is the capital of France?',
  'Why is the sky blue?',
  'Write a haiku about the sea.',
  'How do I boil an egg?',
  'Explain gravity to a child.',
  'List three uses of vinegar in a kitchen.',
  'What is 17 + 25?',
  'Translate "good morning" into Spanish, German and Japanese.',
  'Write a Python function that reverses a string.',
  'Who wrote Hamlet, and when?',
  'Give me a packing list for a week in the mountains.',
  'What should I say to a friend who has lost their job?',
  'Summarise the water cycle in two sentences.',
  'Is it safe to mix bleach and ammonia?',
  'Tell me a joke about cats.',
  'What does “déjà vu” mean?',
  '请用一句话介绍北京。',
  'Fix the grammar: he go to school yesterday and see the teacher',
  'How many days are there in February 2024?',
  'Name a planet with rings, a river in Africa and a prime number above 50.',
];
const TOKENS = 60;
/**
 * How far two programs' logits may lie apart. Their kernels add up in different orders; the largest
 * difference found in 24,000 logits is 6e-5.
 */
const TOLERANCE = 1e-3;

test('llama.cpp encodes 300 texts as our tokenizer does', async ({ skip }) => {
  skip(missing !== undefined, missing);
  const { tokenizer } = bundle;
  // llama.cpp drops characters that have no token. We replace them, so it gets what we encoded.
  const texts = realTexts().map((text) => tokenizer.decode(tokenizer.encode(text)));
  expect(texts).toHaveLength(300);
  const llama = await LlamaCpp.openTokenizer(gguf);
  try {
    const theirs = await llama.tokenize(texts, { special: false });
    const differs = texts.filter((text, i) => `${tokenizer.encode(text)}` !== `${theirs[i]}`);
    expect(differs).toEqual([]);
  } finally {
    await llama.close();
  }
});

test('prompts are the same ids, and 60 greedy tokens are the same', async ({ skip }) => {
  skip(missing !== undefined, missing);
  const prompts = PROMPTS.map((content) => bundle.renderChat([{ role: 'user', content }]));
  const file = await smolLm2F32Gguf(gguf);
  // One thread each: two wait for each other by spinning, and wait long where the cores are busy.
  const llama = await LlamaCpp.open({ file, contextSize: 256, threads: 1, exact: true });
  const theirs: Likely[][][] = [];
  try {
    expect(await llama.tokenize(await renderedPrompts(), { special: true })).toEqual(prompts);
    for (const prompt of prompts) theirs.push(await llama.greedy(prompt, { count: TOKENS, top: 20 }));
  } finally {
    await llama.close();
  }

  const experts = await OnnxExperts.create(bundle, { threads: 1 });
  let compared = 0;
  try {
    const rows = prompts.map((ids, i) => ({
      sequence: experts.open('helpfulness'),
      ids: [...ids],
      theirs: theirs[i]!,
    }));
    for (let step = 0; step < TOKENS; step++) {
      const going = rows.filter(({ ids }) => ids.length > 0);
      const outputs = await Promise.all(experts.append(going));
      for (const [i, row] of going.entries()) {
        // Whole rows, as the driver's abilities say.
        const { logits } = outputs[i]!.row as { logits: Float32Array };
        const wanted = row.theirs[step]!;
        const where = `${PROMPTS[rows.indexOf(row)]}, token ${step}`;
        expect(largestGap(logits, wanted), where).toBeLessThan(TOLERANCE);
        const likeliest = logits.indexOf(logits.reduce((most, logit) => Math.max(most, logit), -Infinity));
        const [first, second] = wanted as [Likely, Likely];
        if (likeliest !== first.id) {
          // Nearly equal logits may swap. From there on the answers are different ones.
          expect(likeliest, where).toBe(second.id);
          expect(first.logit - second.logit, where).toBeLessThan(TOLERANCE);
        }
        compared++;
        row.ids = likeliest === first.id ? [likeliest] : [];
      }
    }
  } finally {
    await experts.dispose();
  }
  expect(compared).toBeGreaterThan(0.9 * PROMPTS.length * TOKENS);
});

/**
 * How far the logits of llama.cpp's likeliest tokens lie apart, each less that of the likeliest. A
 * constant added to all logits means nothing.
 */
function largestGap(logits: Float32Array, wanted: readonly Likely[]): number {
  const most = logits[wanted[0]!.id]!;
  return Math.max(...wanted.map(({ id, logit }) => Math.abs(logits[id]! - most - logit)));
}

/** The prompts as texts, from the file's own template and another library than ours. */
async function renderedPrompts(): Promise<string[]> {
  const source = await openGguf(gguf);
  // smollm2-gguf.test.ts checks that it is a text.
  const jinja = new Template(source.metadata.get('tokenizer.chat_template') as string);
  await source.close();
  const specials = { bos_token: '<|im_start|>', eos_token: '<|im_end|>' };
  return PROMPTS.map((content) =>
    jinja.render({ messages: [{ role: 'user', content }], add_generation_prompt: true, ...specials }),
  );
}
