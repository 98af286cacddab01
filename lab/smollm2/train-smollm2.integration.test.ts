/** The whole recipe on a tiny base of random weights: in seconds what takes hours on SmolLM2. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { bundleVocabulary } from '#gpu-backend/engine/bundle-vocabulary.ts';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { request } from '#gpu-backend/engine/testing/engine-contract.ts';
import { schedule } from '#gpu-backend/engine/testing/schedule.ts';
import { type Bundle, loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { readSafetensors } from '#gpu-backend/model/read-safetensors.ts';
import { renderRows } from '#gpu-backend/model/render-rows.ts';
import { SignalRules } from '#shared/line/rules.ts';
import { openingTurn } from '#training/data/prompt-key.ts';
import type { Figures } from '../probes/figures.ts';
import { planPrompt } from '../probes/plan-prompts.ts';
import { StateReader } from '../probes/read-states.ts';
import { type Part, splitOf, textKey } from '../split/split.ts';
import { readCandidates } from './candidates.ts';
import { TINY_SETTINGS, writeTinyBase, writeTinyData } from './fixtures/tiny-recipe.ts';
import { readAnswers } from './own-answers.ts';
import { recipeProbeRows } from './probes-step.ts';
import { readPairRows, readPromptRows, sourcesOf } from './recipe-rows.ts';
import { withoutProbe } from './settings.ts';
import { readRecord } from './step-records.ts';
import { STEP_NAMES } from './steps.ts';
import { trainOneStep, trainSmollm2 } from './train-smollm2.ts';

let dir: string;
const at = (...names: string[]) => path.join(dir, ...names);
const printed: string[] = [];
const print = (text: string) => void printed.push(text);
const given = () => ({ base: at('base'), data: at('data'), out: at('out'), threads: 1, settings: TINY_SETTINGS });

beforeAll(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-recipe-'));
  await writeTinyBase(at('base'));
  writeTinyData(at('data'));
});
afterAll(() => rmSync(dir, { recursive: true }));
beforeEach(() => {
  printed.length = 0;
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterEach(() => vi.restoreAllMocks());

test('the plan is printed without any work', async () => {
  await trainSmollm2({ ...given(), base: at('none'), planOnly: true, print });
  expect(printed.join('\n')).toContain('of two cores in all');
  expect(existsSync(at('out'))).toBe(false);
});

test('every step is done in turn, and ends in a bundle that loads, with a card', async () => {
  await trainSmollm2({ ...given(), print });
  expect(printed.filter((line) => line.startsWith('step '))).toEqual(STEP_NAMES.map((name) => `step ${name}`));
  const bundle = await loadBundle(at('out/bundle'));
  expect(bundle.experts.map(({ role, rank }) => [role, rank])).toEqual([
    ['safety', 2],
    ['helpfulness', 2],
  ]);
  expect(bundle.manifest.router).toEqual({ layers: { variant: 'corrected' } });
  expect(bundle.manifest.provenance.data).toContainEqual({
    name: 'anthropics/hh-rlhf',
    licence: 'MIT',
    source: 'anthropics/hh-rlhf, harmless-base/test',
  });
  // Own answers count for the source of their prompt, too.
  const used = await Promise.all(
    ['train', 'dev'].flatMap((side) =>
      ['pairs/safer-', 'pairs/better-', 'dual/'].map((name) => readPairRows(at('out', `${name}${side}.jsonl`))),
    ),
  );
  const names = [...new Set(used.flat().flatMap(sourcesOf))].sort();
  expect(bundle.manifest.provenance.data.map(({ name }) => name)).toEqual(names);
  // Nobody has changed the base.
  const base = await loadBundle(at('base'));
  for (const [name, { data }] of base.weights) expect(bundle.weights.get(name)!.data, name).toEqual(data);
  const card = readFileSync(at('out/bundle/README.md'), 'utf8');
  expect(card).toContain('| anthropics/hh-rlhf | MIT |');
  expect(card).toContain("40 rows of refusal_direction/harmless (its prompts are Alpaca's (CC-BY-NC-4.0))");
  for (const name of names) expect(card).toContain(`| ${name} |`);
  expect(card).toMatch(/\| safer, train \| world \|/);
});

test('the bundle has a probe, which the engine asks of every prompt', async () => {
  const bundle = await loadBundle(at('out/bundle'));
  const figures = JSON.parse(readFileSync(at('out/probes/metrics.json'), 'utf8')) as Pick<Figures, 'version'>;
  expect(bundle.manifest.probes).toEqual({ second_look: { version: figures.version } });
  expect(readFileSync(at('out/bundle/README.md'), 'utf8')).toContain(`Probe \`${figures.version}\` reads`);
  const experts = await OnnxExperts.create(bundle, { threads: 1 });
  const { scheduler, run, of } = schedule(experts, {
    vocabulary: bundleVocabulary(bundle),
    proposal: 0.5,
    probe: bundle.probe,
    contextLength: 256,
  });
  const { promptIds, looked = [] } = renderRows([{ role: 'user', content: 'how do I bring the tin' }], bundle);
  const secondLook = { base: 0, rules: SignalRules.parse({}), messages: looked };
  scheduler.submit(1, request({ promptIds, maxTokens: 2, secondLook }));
  await run();
  await experts.dispose();
  const end = of(1).events.at(-1);
  const look = end?.type === 'end' ? end.second_look : null;
  expect(look?.version).toBe(figures.version);
  expect(look?.categories.every(({ probability }) => probability > 0 && probability < 1)).toBe(true);
});

test('without a probe, the bundle has no second look, and the card says so', async () => {
  const out = at('no-probe');
  cpSync(at('out'), out, { recursive: true });
  await trainSmollm2({ ...given(), out, settings: withoutProbe(TINY_SETTINGS), redo: 'probes', print });
  const bundle = await loadBundle(path.join(out, 'bundle'));
  expect(bundle.probe).toBeNull();
  expect(bundle.manifest.provenance.description).toContain('--no-probe');
  expect(readFileSync(path.join(out, 'bundle/README.md'), 'utf8')).toContain('None was trained.');
  expect(existsSync(path.join(out, 'probes'))).toBe(false);
});

test('the probe was trained on the states that the bundle has', async () => {
  const [bundle, base] = [await loadBundle(at('out/bundle')), await loadBundle(at('base'))];
  const rows = await recipeProbeRows(given());
  const { windows, mostTokens } = TINY_SETTINGS.probe;
  const shortest = rows
    .map(({ example }, prompt) => planPrompt(example.text, { prompt, bundle, windows }))
    .filter(({ ids }) => ids.length <= mostTokens)
    .toSorted((a, b) => a.ids.length - b.ids.length || a.prompt - b.prompt)
    .slice(0, 64);
  const kept = await readSafetensors(at('out/probes/states/states-00000.safetensors'));
  const furthest = async (from: Bundle) => {
    const reader = await StateReader.create(from, { layers: [1], threads: 1 });
    const found = await reader.read(shortest);
    await reader.dispose();
    const gaps = [...found].map(([name, numbers]) => {
      const { data } = kept.get(name)!;
      expect(data).toHaveLength(numbers.length);
      return Math.max(...data.map((x, i) => Math.abs(x - numbers[i]!)));
    });
    return Math.max(...gaps);
  };
  // Products in other batches differ in the last bits.
  expect(await furthest(bundle)).toBeLessThan(1e-5);
  expect(await furthest(base)).toBeGreaterThan(1e-3);
});

test('the same command again does nothing', async () => {
  await trainSmollm2({ ...given(), print });
  expect(printed.filter((line) => line.startsWith('step '))).toEqual([]);
  expect(printed.join('\n')).toContain('0s from here');
});

/** The slow obvious version of near-prompts.ts: the word pairs of two prompts, as sets. */
function similarity(a: string, b: string): number {
  const pairsOf = (text: string) => {
    const words = textKey(text).split(' ');
    return new Set(words.length === 1 ? words : words.slice(1).map((word, i) => `${words[i]} ${word}`));
  };
  const [first, second] = [pairsOf(a), pairsOf(b)];
  const shared = [...first].filter((pair) => second.has(pair)).length;
  return shared / (first.size + second.size - shared);
}

test('no prompt that is trained on is in another part, or near one', async () => {
  const { pairs, prompts } = await readCandidates({ data: at('data'), settings: TINY_SETTINGS });
  const textsOf = (...parts: Part[]) => [
    ...new Set(
      [...pairs, ...prompts].filter(({ part }) => parts.includes(part)).map(({ prompt }) => openingTurn(prompt)),
    ),
  ];
  const stricter = { train: textsOf('judge', 'dev', 'test'), dev: textsOf('test') };
  // Own answers and refusals stand beside these prompts, whichever of them become pairs.
  const asked = await readPromptRows(at('out/data/prompts.jsonl'));
  expect(asked.length).toBeGreaterThan(10);
  expect(asked.every(({ part }) => part === 'train' || part === 'dev')).toBe(true);
  for (const side of ['train', 'dev'] as const) {
    const learned = new Set(asked.filter(({ part }) => part === side).map(({ prompt }) => openingTurn(prompt)));
    for (const name of [`pairs/safer-${side}`, `pairs/better-${side}`, `dual/${side}`]) {
      for (const { prompt, key, part } of await readPairRows(at('out', `${name}.jsonl`))) {
        expect(part).toBe(side);
        expect(splitOf(key)).toBe(side);
        learned.add(openingTurn(prompt));
      }
    }
    expect(Math.min(learned.size, stricter[side].length)).toBeGreaterThan(2);
    for (const text of learned) {
      expect(
        stricter[side].filter((other) => similarity(text, other) >= 0.5),
        text,
      ).toEqual([]);
    }
  }
});

test('answers that a kill cut off are drawn again, and are the same ones', async () => {
  const file = at('out/answers/answers.jsonl');
  const whole = readFileSync(file, 'utf8');
  const lines = whole.split('\n');
  rmSync(at('out/steps/answers.json'));
  // Out of order, as concurrent prompts end, and cut inside a line.
  writeFileSync(file, [lines[2], lines[0], `${lines[5]}`].join('\n'));
  truncateSync(file, readFileSync(file).length - 20);
  await trainOneStep('answers', given());
  expect(readFileSync(file, 'utf8')).toBe(whole);
  expect(new Set(readAnswers(file).map(({ answers }) => answers[0]!.text)).size).toBeGreaterThan(1);
  // What builds on the answers is still valid.
  await trainSmollm2({ ...given(), print });
  expect(printed.filter((line) => line.startsWith('step '))).toEqual([]);
});

test('another seed, or another base, is an error that names the way out', async () => {
  const other = { ...given(), settings: { ...TINY_SETTINGS, seed: 8 } };
  await expect(trainSmollm2({ ...other, print })).rejects.toThrow(
    'the step data was done with seed = 7, now it is 8: --redo data does it and what builds on it again',
  );
});

test('a step that is done again takes what builds on it along', async () => {
  await trainSmollm2({ ...given(), redo: 'layers', print });
  expect(printed[0]).toBe('forgotten: layers, export, card');
  expect(printed.filter((line) => line.startsWith('step '))).toEqual(['step layers', 'step export', 'step card']);
  expect(readRecord(at('out'), 'card')).not.toBeNull();
});

test('a source that is in no table stops the recipe, by name and file', async () => {
  writeTinyData(at('odd'), { source: 'somebody/some-set' });
  await expect(trainSmollm2({ ...given(), data: at('odd'), out: at('odd-out'), print })).rejects.toThrow(
    /pref_helpful_mixed\.jsonl\.gz: the source "somebody\/some-set" has no line in lab\/smollm2\/sources\.ts/,
  );
});

test('a base under another licence is refused', async () => {
  const manifest = JSON.parse(readFileSync(at('base/plimsoll.json'), 'utf8')) as { licence: string };
  mkdirSync(at('closed'));
  writeFileSync(at('closed/plimsoll.json'), JSON.stringify({ ...manifest, licence: 'CC-BY-NC-4.0' }));
  await expect(trainSmollm2({ ...given(), base: at('closed'), out: at('closed-out'), print })).rejects.toThrow(
    'found the licence CC-BY-NC-4.0, wanted one of',
  );
});
