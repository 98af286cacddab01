/** Perplexity and divergence on tiny bundles, against the slow decoder and plain sums. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OnnxExperts } from '../engine/onnx-experts.ts';
import type { Expert } from '../model/adapter.ts';
import { withPrompt } from '../model/expert-prompt.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { type Bundle, loadBundle } from '../model/load-bundle.ts';
import { slowDecoder } from '../model/testing/slow-decoder.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { measureQuality, QUALITY_ROWS, type QualityRow } from './measure-quality.ts';
import { QUALITY_TEXTS } from './quality-texts.ts';

type Loaded = { head: Bundle; experts: OnnxExperts };

let root: string;
let model: Loaded;
let other: Loaded;
const opened: OnnxExperts[] = [];

async function load(seed: number, { prompt, config }: { prompt?: string; config?: object } = {}): Promise<Loaded> {
  const parts = tinyBundle({ seed, config: { ...config } });
  const withOwn = (expert: Expert): Expert =>
    expert.role === 'safety' && prompt !== undefined ? { ...expert, prompt } : expert;
  const dir = await mkdtemp(join(root, 'bundle-'));
  await writeBundle(dir, { ...parts, experts: parts.experts.map(withOwn) }, { dtype: 'f32' });
  const head = await loadBundle(dir);
  const experts = await OnnxExperts.create(head, { threads: 1 });
  opened.push(experts);
  return { head, experts };
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'quality-'));
  [model, other] = [await load(1, { prompt: 'Be kind.' }), await load(2, { prompt: 'Be kind.' })];
});
afterAll(async () => {
  await Promise.all(opened.map((experts) => experts.dispose()));
  await rm(root, { recursive: true });
});

const texts = [
  { question: 'the inn', answer: 'there is ink' },
  { question: 'a', answer: 'the tin' },
];

const softmax = (logits: number[]) => {
  const exps = logits.map(Math.exp);
  const sum = exps.reduce((a, b) => a + b);
  return exps.map((x) => x / sum);
};

/** The probabilities of every row before every token, from the slow decoder. */
function slowRows({ head }: Loaded): { token: number; rows: Record<QualityRow, number[]> }[] {
  return texts.flatMap(({ question, answer }) => {
    const messages = [{ role: 'user' as const, content: question }];
    const ids = head.tokenizer.encode(answer);
    const prompts = {
      safety: head.renderChat(withPrompt(messages, 'Be kind.')),
      helpfulness: head.renderChat(messages),
    };
    return ids.map((token, i) => {
      const under = (role: 'safety' | 'helpfulness') => {
        const gates = { safety: 0, helpfulness: 0, [role]: 1 };
        return softmax(slowDecoder(head, [...prompts[role], ...ids.slice(0, i)], () => gates).logits);
      };
      const [safety, helpfulness] = [under('safety'), under('helpfulness')];
      const product = safety.map((p, v) => Math.sqrt(p * helpfulness[v]!));
      const z = product.reduce((a, b) => a + b);
      return { token, rows: { safety, helpfulness, mixture: product.map((p) => p / z) } };
    });
  });
}

test('perplexity and divergence are those of the slow decoder, for each expert and the mixture', async () => {
  const [slow, slowOther] = [slowRows(model), slowRows(other)];
  const { tokens, rows } = await measureQuality(model, { against: other, texts });
  expect(tokens).toBe(slow.length);
  for (const row of QUALITY_ROWS) {
    const product = slow.reduce((sum, { token, rows }) => sum * rows[row][token]! ** (-1 / tokens), 1);
    const kl = slow.reduce((sum, { rows }, i) => {
      const wanted = slowOther[i]!.rows[row];
      return sum + wanted.reduce((all, p, v) => all + p * Math.log(p / rows[row][v]!), 0) / tokens;
    }, 0);
    // Logits are off by up to 1e-4 (see families.integration.test.ts), and so are their means.
    expect(Math.abs(Math.log(rows[row].perplexity / product))).toBeLessThan(1e-4);
    expect(Math.abs(rows[row].kl! - kl)).toBeLessThan(1e-3 * kl);
    expect(kl).toBeGreaterThan(0.1);
  }
  expect(new Set(QUALITY_ROWS.map((row) => rows[row].perplexity)).size).toBe(3);
});

test('a model is 0 nats from itself, and without another there is no divergence', async () => {
  const same = await measureQuality(model, { against: model, texts });
  const alone = await measureQuality(model, { texts });
  for (const row of QUALITY_ROWS) {
    expect(same.rows[row].kl).toBe(0);
    expect(alone.rows[row]).toEqual({ perplexity: same.rows[row].perplexity, kl: null });
  }
  expect(model.experts.openCount).toBe(0);
});

test('tokens are counted on the way, and a signal stops between two of them', async () => {
  const seen: number[] = [];
  const all = texts.reduce((sum, { answer }) => sum + model.head.tokenizer.encode(answer).length, 0);
  const stop = new AbortController();
  const onTokens = (done: number, total: number) => {
    seen.push(done);
    expect(total).toBe(all);
    if (seen.length === 3) stop.abort(new Error('enough'));
  };
  await expect(measureQuality(model, { texts, onTokens, signal: stop.signal })).rejects.toThrow('enough');
  // Two texts, a token of each at a time.
  expect(seen).toEqual([2, 4, 6]);
  expect(model.experts.openCount).toBe(0);
});

test('a text longer than the context is cut, and a question that fills the context is refused', async () => {
  const { config, tokenizer, renderChat } = other.head;
  const question = 'a';
  const prompt = renderChat(withPrompt([{ role: 'user', content: question }], 'Be kind.'));
  const answer = 'the end '.repeat(40);
  const { tokens } = await measureQuality(other, { texts: [{ question, answer }] });
  expect(tokens).toBe(config.max_position_embeddings - prompt.length + 1);
  expect(tokens).toBeLessThan(tokenizer.encode(answer).length);
  await expect(measureQuality(other, { texts: [{ question: answer, answer }] })).rejects.toThrow(
    /^config\.json: found 96 positions, wanted more than the \d+ tokens of a question$/,
  );
});

test('another prompt is refused, and the error names the file of the prompt', async () => {
  const against = await load(1, { prompt: 'Be cruel.' });
  await expect(measureQuality(model, { against, texts })).rejects.toThrow(
    'experts/safety/prompt.txt: found another one, wanted the safety expert to have the same system prompt as in',
  );
});

test('the fixed texts are as they were when the figures in the docs were measured', () => {
  const letters = QUALITY_TEXTS.map(({ question, answer }) => [question.length, answer.length]);
  expect(letters).toMatchInlineSnapshot(`
    [
      [
        68,
        919,
      ],
      [
        60,
        657,
      ],
      [
        69,
        601,
      ],
      [
        41,
        671,
      ],
    ]
  `);
});
