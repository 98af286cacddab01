/**
 * With a tokenizer other than its own, a base answers nonsense without any error. So every stage
 * that opens a run compares the two.
 */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { dialogues, pairs } from '../testing/small-talk.ts';
import { TINY } from '../testing/tiny-model.ts';
import { openTokenizer, readChatFiles, type TrainingTokenizer } from '../tokenizer/chat-files.ts';
import { baseCorpus } from './base-corpus.ts';
import { loadBaseModel } from './base-model.ts';
import { expertStage } from './expert.ts';
import { loadExpertWeights } from './expert-weights.ts';
import { exportStage } from './export.ts';
import { sftStage } from './sft.ts';
import { tokenizerStage } from './tokenizer.ts';

const VOCAB = 300;
const config = { ...TINY, vocab_size: VOCAB, max_position_embeddings: 512, eos_token_id: 5 };
const manifest = {
  id: 'tiny',
  licence: 'Apache-2.0',
  default_weight: 0.5,
  provenance: { description: 'a test', data: [] },
};

let dir: string;
/** Two tokenizers with vocabularies of the same size, so that only the digest tells them apart. */
let own: TrainingTokenizer;
let other: TrainingTokenizer;
const at = (name: string) => path.join(dir, name);

async function tokenizerOf(name: string, seed: number): Promise<TrainingTokenizer> {
  const corpus = await baseCorpus({ seed, generated: dialogues(10, seed), realShare: 0, dataDir: null });
  await tokenizerStage({ corpus, out: at(name), vocabSize: VOCAB });
  return openTokenizer(await readChatFiles(at(name)));
}

const sft = async (out: string, options: { tokenizer: TrainingTokenizer; resume: boolean }) =>
  sftStage({
    ...options,
    out: at(out),
    seed: 1,
    config,
    from: null,
    corpus: await baseCorpus({ seed: 1, generated: dialogues(8), realShare: 0, dataDir: null }),
    heldOut: { '': dialogues(4, 'held out') },
    corpusSettings: {},
    steps: 1,
    tokensPerBatch: 512,
    learningRate: 1e-3,
    promptWeight: 0.2,
    opening: { tokens: 0, weight: 1 },
    threads: 1,
  });

/** Removes the digest, so that a run looks like an old one that never had it. */
async function forget(run: string): Promise<void> {
  const file = at(`${run}/step-000001/state.json`);
  const { settings, ...state } = JSON.parse(await readFile(file, 'utf8'));
  await writeFile(file, JSON.stringify({ ...state, settings: { ...settings, tokenizer: undefined } }));
}

beforeAll(async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-wrong-tokenizer-'));
  own = await tokenizerOf('own', 1);
  other = await tokenizerOf('other', 2);
  await sft('base', { tokenizer: own, resume: false });
  await cp(at('base'), at('old'), { recursive: true });
  await forget('old');
});
afterAll(async () => {
  vi.restoreAllMocks();
  await rm(dir, { recursive: true });
});

test('a base accepts its own tokenizer, even if its JSON is written differently', async () => {
  const file = at('own/tokenizer.json');
  const json = JSON.parse(await readFile(file, 'utf8')) as object;
  await cp(at('own'), at('own-again'), { recursive: true });
  await writeFile(at('own-again/tokenizer.json'), JSON.stringify(Object.fromEntries(Object.entries(json).reverse())));
  expect(await readFile(at('own-again/tokenizer.json'))).not.toEqual(await readFile(file));
  const again = openTokenizer(await readChatFiles(at('own-again')));
  expect((await loadBaseModel(at('base'), again)).steps).toBe(1);
});

test('a base rejects any other tokenizer: for training on it, for export and for resuming', async () => {
  const message = `${at('base')} was trained with another tokenizer (SHA-256 ${own.digest}) than this one (${other.digest})`;
  await expect(loadBaseModel(at('base'), other)).rejects.toThrow(message);
  const bundle = exportStage({
    base: at('base'),
    tokenizer: at('other'),
    experts: 'base',
    out: at('bundle'),
    manifest,
  });
  await expect(bundle).rejects.toThrow(message);
  await expect(sft('base', { tokenizer: other, resume: true })).rejects.toThrow(
    `was made with the tokenizer of SHA-256 ${own.digest}, now it is ${other.digest}: `,
  );
});

test('an old base without a digest is loaded and resumed, unless its vocabulary is too small', async () => {
  expect((await loadBaseModel(at('old'), own)).steps).toBe(1);
  await sft('old', { tokenizer: own, resume: true });
  await expect(loadBaseModel(at('old'), { ...own, vocabSize: VOCAB + 1 })).rejects.toThrow(
    'the tokenizer has 301 tokens, the model only 300',
  );
});

test('an expert keeps the digest of its tokenizer, even if its base has none', async () => {
  await expertStage({
    train: pairs(8),
    heldOut: pairs(4, 'held out'),
    base: await loadBaseModel(at('old'), own),
    tokenizer: own,
    role: 'safety',
    variant: 'corrected',
    margin: null,
    from: null,
    rank: 1,
    alpha: 1,
    beta: 0.1,
    nllWeight: 0,
    learningRate: 1e-3,
    pairsPerBatch: 4,
    epochs: 1,
    seed: 1,
    dataSettings: {},
    resume: false,
    threads: 1,
    out: at('expert'),
  });
  expect(await loadExpertWeights(at('expert'), await loadBaseModel(at('old'), own))).toMatchObject({ rank: 1 });
  await expect(loadExpertWeights(at('expert'), await loadBaseModel(at('old'), other))).rejects.toThrow(
    `${at('expert')} was trained with another tokenizer (SHA-256 ${own.digest})`,
  );
});

test.each([
  ['without a tokenizer', undefined, 'holds no tokenizer: tokenizer.json: cannot be read: found no such file'],
  ['with half a tokenizer', '{"added_tokens"', 'holds no tokenizer: tokenizer.json: not JSON'],
  ['with something else', '{}', 'holds no tokenizer: tokenizer.json: added_tokens'],
])('names a folder %s', async (name, text, message) => {
  await mkdir(at(name));
  if (text !== undefined) await writeFile(at(`${name}/tokenizer.json`), text);
  await expect(readChatFiles(at(name))).rejects.toThrow(`${at(name)} ${message}`);
});
