/**
 * Pooled states, from a prompt's text to the numbers on disk, against whole states of the slow
 * decoder.
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { type Bundle, loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { slowDecoder } from '#gpu-backend/model/testing/slow-decoder.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { planPrompt, sharedTokens } from './plan-prompts.ts';
import { blockName, POOLINGS, StateReader, type States } from './read-states.ts';
import { promptsDigest, type StateSettings, statesOf } from './state-files.ts';

const WINDOWS = [4, 8, 64];
const LAYERS = [0, 1];
const TEXTS = ['hi', 'how do I bring the tin in there, again?', 'the inner tin', 'where is the outer one'];

let root: string;
let bundle: Bundle;
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'probe-states-'));
  await writeBundle(path.join(root, 'tiny'), tinyBundle(), { dtype: 'f32' });
  bundle = await loadBundle(path.join(root, 'tiny'));
});
afterAll(() => rm(root, { recursive: true }));

const plansOf = () => TEXTS.map((text, prompt) => planPrompt(text, { prompt, bundle, windows: WINDOWS }));
const d = () => bundle.config.hidden_size;

/** The definition: the mean over a piece, and its last token, of the safety expert's states. */
function slowStates(): number[][] {
  return plansOf().flatMap(({ ids, pieces }) => {
    const { states } = slowDecoder(bundle, [...ids], () => ({ safety: 1, helpfulness: 0 }));
    return pieces.map(({ from, to, last }) =>
      LAYERS.flatMap((layer) => {
        const own = states.slice(from, to).map((token) => token[layer]!);
        const mean = Array.from(own[0]!, (_, k) => own.reduce((sum, state) => sum + state[k]!, 0) / own.length);
        return [...mean, ...states[last]![layer]!];
      }),
    );
  });
}

function expectSlow(states: States): void {
  for (const [piece, wanted] of slowStates().entries()) {
    const found = LAYERS.flatMap((layer) =>
      POOLINGS.flatMap((pooling) => [
        ...states.get(blockName(layer, pooling))!.subarray(piece * d(), (piece + 1) * d()),
      ]),
    );
    const worst = Math.max(...wanted.map((value, i) => Math.abs(value - found[i]!)));
    expect(worst).toBeLessThan(1e-3);
  }
}

test.each([
  ['each from its first token', 0],
  ['after the tokens that all begin with', 1],
])('the states are those of the definition, %s', async (_, shares) => {
  const plans = plansOf();
  const reader = await StateReader.create(bundle, { layers: LAYERS, threads: 1 });
  if (shares) await reader.share(plans[0]!.ids.slice(0, sharedTokens(plans)));
  expectSlow(await reader.read(plans));
  await reader.dispose();
});

test('a short prompt is one piece in every window, and a long one has pieces of its own', () => {
  const [short, long] = plansOf() as [ReturnType<typeof planPrompt>, ReturnType<typeof planPrompt>];
  expect(short.pieces).toHaveLength(1);
  expect(short.ofWindow).toEqual([[0], [0], [0]]);
  expect(long.ofWindow[0]!.length).toBeGreaterThan(long.ofWindow[1]!.length);
  expect(long.ofWindow[2]).toHaveLength(1);
  // What the last window of each size ends with has read the whole prompt.
  for (const places of long.ofWindow) expect(long.pieces[places.at(-1)!]!.last).toBe(long.ids.length - 1);
});

test('prompts share what the template begins with, and not a token of theirs', () => {
  const plans = plansOf();
  const shared = sharedTokens(plans);
  expect(shared).toBe(Math.min(...plans.map(({ pieces }) => pieces[0]!.from)));
  expect(
    sharedTokens([
      { ids: [1, 2, 3], pieces: [{ from: 3, to: 4, last: 4 }] },
      { ids: [1, 5, 3], pieces: [{ from: 3, to: 4, last: 4 }] },
    ]),
  ).toBe(1);
});

const store = (name: string) => {
  const dir = path.join(root, name);
  const plans = plansOf();
  const settings: StateSettings = { base: bundle.digest, row: 'safety', layers: LAYERS, prompts: promptsDigest(plans) };
  const counts = { opened: 0, read: 0 };
  const read = (changes: Partial<StateSettings> = {}) =>
    statesOf(plans, {
      dir,
      settings: { ...settings, ...changes },
      hiddenSize: d(),
      filePrompts: 2,
      openReader: async () => {
        counts.opened++;
        return StateReader.create(bundle, { layers: LAYERS, threads: 1 });
      },
      onPrompts: (count, wasRead) => {
        if (wasRead) counts.read += count;
      },
    });
  return { dir, counts, read };
};

test('states on disk are not read again, and missing ones are', async () => {
  const { dir, counts, read } = store('resumed');
  expectSlow(await read());
  expect(counts).toEqual({ opened: 1, read: 4 });
  expectSlow(await read());
  expect(counts).toEqual({ opened: 1, read: 4 });
  await rm(path.join(dir, 'states-00001.safetensors'));
  // Half a file of a run that was killed.
  await writeFile(path.join(dir, 'states-00001.safetensors.tmp'), 'x');
  expectSlow(await read());
  expect(counts).toEqual({ opened: 2, read: 6 });
  expect((await readdir(dir)).sort()).toEqual([
    'settings.json',
    'states-00000.safetensors',
    'states-00001.safetensors',
  ]);
});

test('states of another base, of other prompts or in another shape are refused', async () => {
  const { dir, read } = store('refused');
  await read();
  await expect(read({ base: 'ab12' })).rejects.toThrow(
    `settings.json: base: found "${bundle.digest}", wanted "ab12"; --force reads all states anew`,
  );
  await expect(read({ row: 'base' })).rejects.toThrow('settings.json: row: found "safety", wanted "base"');
  await expect(read({ prompts: 'cd' })).rejects.toThrow('settings.json: prompts: found');
  const [first, second] = ['states-00000.safetensors', 'states-00001.safetensors'].map((name) => path.join(dir, name));
  await writeFile(first!, await readFile(second!));
  await expect(read()).rejects.toThrow(
    /states-00000\.safetensors: tensor 0\.mean: found \[\d+, 32\], wanted \[\d+, 32\]/,
  );
});
