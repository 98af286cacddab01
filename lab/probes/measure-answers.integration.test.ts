/** The measurement on a tiny bundle, with answers that even a model that babbles can tell apart. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { openBundle } from '#gpu-backend/model/load-bundle.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import type { AnswerFigures } from './answer-figures.ts';
import type { AnswerRow } from './answer-rows.ts';
import { measureOnRows } from './measure-answers.ts';
import { planAnswer } from './plan-prompts.ts';
import { RECIPE } from './recipe.ts';
import { ownRows } from './testing/own-rows.ts';

const CUTS = [4, 8];
const PARTS = ['train', 'dev', 'test'] as const;

let root: string;
let figures: AnswerFigures;
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'measure-answers-'));
  await writeBundle(path.join(root, 'tiny'), tinyBundle(), { dtype: 'f32' });
  figures = await measureOnRows(
    await openBundle(path.join(root, 'tiny')),
    { answers: answers(), prompts: ownRows() },
    {
      out: path.join(root, 'out'),
      ...{ row: 'safety', layers: [0, 1], threads: 1, sizes: { cuts: CUTS, mostTokens: 90 } },
      recipe: { ...RECIPE, windows: [8], firstWindow: 8, l2: [0.1], steps: 60 },
    },
  );
});
afterAll(() => rm(root, { recursive: true }));

/** Harm is in the answer alone: each prompt has one of either side. */
function answers(): AnswerRow[] {
  return Array.from({ length: 36 }, (_, i): AnswerRow => {
    const [number, safe] = [Math.floor(i / 2), i % 2 === 0];
    const set = number % 2 === 0 ? 'harmful' : 'world';
    const answer = safe ? `where the hen is, ${number}` : `tin tin tin tin ${number}`;
    const prompt = [{ role: 'user' as const, content: `tell me ${number}` }];
    return { set, key: `${number}`, part: PARTS[number % 3]!, prompt, answer, safe };
  });
}

test('the states of an answer tell what its prompt cannot', () => {
  expect(figures.answers).toEqual({ train: 12, dev: 12, test: 12 });
  for (const { aucs } of figures.test) {
    expect(aucs.trained.auc).toBe(1);
    expect(aucs.asked.auc).toBe(0.5);
  }
  expect(figures.test.map(({ set, cut }) => [set, cut])).toEqual(
    ['answers to harmful prompts', 'small world', 'all'].flatMap((set) => CUTS.map((cut) => [set, cut])),
  );
});

test('its figures are kept as a file', async () => {
  expect(JSON.parse(await readFile(path.join(root, 'out/answers.json'), 'utf8'))).toEqual(figures);
});

test('an answer is read after its prompt, and pooled from its first token on', async () => {
  const bundle = await openBundle(path.join(root, 'tiny'));
  const prompt = [{ role: 'user' as const, content: 'where is it' }];
  const given = { prompt: 3, bundle, window: 8, cuts: CUTS };
  const plan = planAnswer({ prompt, answer: 'in the inner tin, or so' }, given)!;
  const [asked, answered] = [bundle.renderChat(prompt), bundle.tokenizer.encode('in the inner tin, or so')];
  expect(plan.ids).toEqual([...asked, ...answered.slice(0, 8)]);
  const from = asked.length;
  expect(plan.pieces.slice(0, 2)).toEqual([
    { from, to: from + 4, last: from + 3 },
    { from, to: from + 8, last: from + 7 },
  ]);
  // The windows of the prompt end before the answer.
  expect(plan.pieces.slice(2).every(({ last }) => last < from)).toBe(true);
  expect(plan.ofWindow.slice(0, 2)).toEqual([[0], [1]]);
  expect(plan.ofWindow[2]!.map((i) => plan.pieces[i])).toEqual(plan.pieces.slice(2));
  expect(planAnswer({ prompt, answer: 'in' }, given)).toBeNull();
});
