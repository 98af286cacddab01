/**
 * Runs every stage in turn on a tiny model. This does in seconds what `train demo` does in an hour.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { expertKinds } from '#gpu-backend/model/expert-kinds.ts';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { encodeChat } from '../data/encode-chat.ts';
import type { Dialogue } from '../data/rows.ts';
import { dialogues, pairs } from '../testing/small-talk.ts';
import { TINY_WORLD } from '../testing/tiny-model.ts';
import { openTokenizer, readChatFiles, type TrainingTokenizer } from '../tokenizer/chat-files.ts';
import { type BaseCorpus, baseCorpus } from './base-corpus.ts';
import { loadBaseModel } from './base-model.ts';
import { expertStage } from './expert.ts';
import { loadExpertWeights } from './expert-weights.ts';
import { exportStage } from './export.ts';
import { marginModel } from './margin-model.ts';
import { rankStage, readDualPairs } from './rank.ts';
import { routerStage } from './router.ts';
import { scoreStage } from './score.ts';
import { loadScorer } from './scorer.ts';
import { sftStage } from './sft.ts';
import { tokenizerStage } from './tokenizer.ts';

const config = TINY_WORLD;
const manifest = {
  id: 'tiny',
  licence: 'Apache-2.0',
  default_weight: 0.5,
  provenance: { description: 'a test', data: [] },
};

let dir: string;
let corpus: BaseCorpus;
let tokenizer: TrainingTokenizer;
const at = (name: string) => path.join(dir, name);

beforeAll(async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-stages-'));
  corpus = await baseCorpus({ seed: 1, generated: dialogues(40), realShare: 0, dataDir: null });
  await tokenizerStage({ corpus, out: at('tokenizer'), vocabSize: config.vocab_size });
  tokenizer = openTokenizer(await readChatFiles(at('tokenizer')));
});
afterAll(async () => {
  vi.restoreAllMocks();
  await rm(dir, { recursive: true });
});

test('the stages tokenizer, sft, expert and export make a bundle that loads', async () => {
  const sft = {
    steps: 3,
    tokensPerBatch: 512,
    learningRate: 1e-3,
    promptWeight: 0.2,
  };
  const opening = { tokens: 4, weight: 2 };
  const common = { resume: false, seed: 1, tokenizer, threads: 1 };
  const heldOut = { '': dialogues(8, 'held out') };
  await sftStage({
    ...common,
    ...sft,
    opening,
    config,
    from: null,
    corpus,
    heldOut,
    corpusSettings: {},
    out: at('sft'),
  });
  const base = await loadBaseModel(at('sft'), tokenizer);
  expect(base.steps).toBe(3);
  for (const role of ['safety', 'helpfulness'] as const) {
    const settings = { rank: 2, alpha: 4, beta: 0.1, nllWeight: 0.1, learningRate: 1e-3, pairsPerBatch: 2, epochs: 1 };
    const variant = 'corrected' as const;
    const data = { train: pairs(12), heldOut: pairs(8, 'held out'), dataSettings: {} };
    const options = { ...common, ...settings, ...data, variant, margin: null, from: null, role, base, out: at(role) };
    await expertStage(options);
    const told = vi.mocked(process.stderr.write).mock.calls.join('');
    expect(told).toMatch(new RegExp(`${role}: \\d+ pairs to train on; left out: `));
    expect(told).toMatch(new RegExp(`${role}: \\d+ pairs held out; left out: `));
    const nothing = pairs(12).map((pair) => ({ ...pair, safer: null, better: null }));
    await expect(expertStage({ ...options, train: nothing })).rejects.toThrow(
      'there is no pair to train on; left out: 12 ties or without a verdict',
    );
    await expect(expertStage({ ...options, heldOut: [] })).rejects.toThrow('there is no pair held out; left out: none');
  }
  const experts = [at('safety'), at('helpfulness')];
  await exportStage({ base: at('sft'), tokenizer: at('tokenizer'), experts, out: at('bundle'), manifest });
  const bundle = await loadBundle(at('bundle'));
  expect(bundle.experts.map(({ role, rank, alpha }) => ({ role, rank, alpha }))).toEqual([
    { role: 'safety', rank: 2, alpha: 4 },
    { role: 'helpfulness', rank: 2, alpha: 4 },
  ]);
  expect(bundle.experts[0]!.modules.get('model.layers.0.mlp.down_proj')!.b.data.some((value) => value !== 0)).toBe(
    true,
  );
  await exportStage({ base: at('sft'), tokenizer: at('tokenizer'), experts: 'base', out: at('bare'), manifest });
  expect(expertKinds(await loadBundle(at('bare')))).toEqual({
    safety: { kind: 'base' },
    helpfulness: { kind: 'base' },
  });
});

test('the stages reward, cost, rank and router build on one another', async () => {
  const base = await loadBaseModel(at('sft'), tokenizer);
  const common = { resume: false, seed: 1, tokenizer, threads: 1, base, dataSettings: {} };
  const score = { rank: 2, alpha: 4, learningRate: 1e-3, pairsPerBatch: 2, epochs: 1 };
  const compared = { train: pairs(16), heldOut: pairs(12, 'held out') };
  for (const kind of ['reward', 'cost'] as const) {
    await scoreStage({ ...common, ...score, ...compared, kind, out: at(kind) });
  }
  const models = { base, padId: tokenizer.padId, threads: 1 };
  const reward = await loadScorer(at('reward'), { ...models, wanted: 'reward' });
  const cost = await loadScorer(at('cost'), { ...models, wanted: 'cost' });
  await expect(loadScorer(at('cost'), { ...models, wanted: 'reward' })).rejects.toThrow(
    'found a cost model, wanted a reward model',
  );

  const expert = { rank: 2, alpha: 4, beta: 0.1, nllWeight: 0, learningRate: 1e-3, pairsPerBatch: 2, epochs: 1 };
  const margin = marginModel(cost, { name: 'cost', rule: 'spe', scale: 1 });
  const one = { ...common, ...expert, ...compared, variant: 'faithful', role: 'safety', margin } as const;
  await expertStage({ ...one, from: null, out: at('spe') });

  // A run that starts from another expert uses that expert's log-probabilities as the reference, so
  // DPO's loss starts at ln 2.
  const helpful = { ...(await loadExpertWeights(at('helpfulness'), base)), name: 'helpfulness' };
  const plain = { ...one, margin: null, variant: 'corrected' } as const;
  await expertStage({ ...plain, from: helpful, out: at('sequential') });
  const [firstStep] = (await readFile(at('sequential/metrics.jsonl'), 'utf8')).split('\n');
  expect(JSON.parse(firstStep!).dpo).toBeCloseTo(Math.log(2), 4);
  const short = { ...helpful, name: 'short', modules: new Map([...helpful.modules].slice(1)) };
  await expect(expertStage({ ...plain, from: short, out: at('short') })).rejects.toThrow(
    'short: lora.0.mlp.down_proj.a: found []',
  );

  // An untrained cost model calls either everything safe or nothing. The definition `figure` keeps
  // a pair in both cases.
  const ranking = { ...compared, definition: 'figure', reward, cost, base, tokenizer } as const;
  const summaries = await rankStage({ ...ranking, out: at('dual') });
  expect(summaries.train.kept).toBe(summaries.train.read);
  const { train } = await readDualPairs(at('dual'), base);
  expect(train.every(({ better }) => better !== null)).toBe(true);

  const safety = await loadExpertWeights(at('safety'), base);
  const helpfulness = await loadExpertWeights(at('helpfulness'), base);
  for (const [name, kind, variant] of [
    ['layers', 'layers', 'corrected'],
    ['layers-faithful', 'layers', 'faithful'],
    ['logits', 'logits', 'corrected'],
  ] as const) {
    const settings = {
      kind,
      variant,
      width: 4,
      beta: 0.1,
      lambda: 1,
      learningRate: 1e-2,
      pairsPerBatch: 2,
      epochs: 1,
    } as const;
    await routerStage({
      ...common,
      ...settings,
      safety,
      helpfulness,
      train,
      heldOut: train.slice(0, 4),
      out: at(name),
    });
    const metrics = (await readFile(at(`${name}/metrics.jsonl`), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    // The regulariser starts at 1, because every gate is one half, and training pulls it down.
    expect(metrics[0].regulariser).toBeCloseTo(1, 4);
    expect(metrics.findLast(({ regulariser }) => regulariser !== undefined).regulariser).toBeLessThan(1);
    expect(metrics.at(-1)).toHaveProperty('heldOutAccuracy');
  }
  const bundle = { base: at('sft'), tokenizer: at('tokenizer'), experts: [at('safety'), at('helpfulness')], manifest };
  await exportStage({ ...bundle, routers: [at('layers'), at('logits')], out: at('routed') });
  expect((await loadBundle(at('routed'))).manifest.router).toEqual({
    layers: { variant: 'corrected' },
    logits: { width: 4 },
  });
  const twice = exportStage({ ...bundle, routers: [at('layers'), at('layers')], out: at('twice') });
  await expect(twice).rejects.toThrow('a second router of the kind layers');
});

describe('the corpus', () => {
  const options = { seed: 1, generated: dialogues(40), realShare: 0, dataDir: null };
  const noisy = () => baseCorpus({ ...options, wordDropout: 0.5 });

  test('needs real data only if its share is above 0, and fails without it', async () => {
    const half = { ...options, realShare: 0.5 };
    await expect(baseCorpus(half)).rejects.toThrow('no --data folder was given');
    await expect(baseCorpus({ ...half, dataDir: at('none') })).rejects.toThrow('does not exist');
    await expect(baseCorpus({ ...half, realShare: 1 })).rejects.toThrow('it lies in [0, 1)');
  });

  test('drops words of questions but never all of them, and no words of answers', async () => {
    const [plain, thinned] = [await baseCorpus(options), await noisy()];
    const words = (from: BaseCorpus, turn: number) =>
      from.dialogues.map(({ messages }) => messages[turn]!.content.split(' ').length);
    const total = (counts: number[]) => counts.reduce((a, b) => a + b, 0);
    expect(words(thinned, 1)).toEqual(words(plain, 1));
    expect(total(words(thinned, 0)) / total(words(plain, 0))).toBeCloseTo(0.5, 0.5);
    expect(thinned.dialogues.every(({ messages }) => messages[0]!.content !== '')).toBe(true);
  });

  test('drops words of every question in a conversation, and does not change the answers', async () => {
    const two = dialogues(30).map(
      (dialogue): Dialogue => ({
        messages: [...dialogue.messages, ...dialogue.messages],
        source: 'small talk',
        learns: 'every-answer',
      }),
    );
    const { dialogues: thinned } = await baseCorpus({ ...options, generated: two, wordDropout: 0.5 });
    const later = (rows: readonly Dialogue[], role: string) =>
      rows.map(({ messages }) => messages.filter((message) => message.role === role).slice(1));
    expect(later(thinned, 'assistant')).toEqual(later(two, 'assistant'));
    expect(later(thinned, 'user')).not.toEqual(later(two, 'user'));
    expect(thinned.every(({ learns }) => learns === 'every-answer')).toBe(true);
  });
});

test("the prompt, the answer's opening and the rest of the answer each have their own weight in the loss", () => {
  const prompt = [{ role: 'user' as const, content: 'How?' }];
  const { ids, weights } = encodeChat({ prompt, answer: 'Slowly and with care.' }, tokenizer, {
    promptWeight: 0.5,
    opening: { tokens: 2, weight: 4 },
  });
  const head = tokenizer.renderChat(prompt).length;
  const answer = ids.length - head;
  expect([...weights]).toEqual([...new Array(head - 1).fill(0.5), 4, 4, ...new Array(answer - 2).fill(1)]);
});
