import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import * as z from 'zod';
import { ExpertStage, RankStage, RouterStage, ScoreStage, SftStage, TokenizerStage } from './settings.ts';
import { readSettings, stageCommand } from './stage-command.ts';

const Settings = z.strictObject({
  kind: z.enum(['one', 'two']).describe('which'),
  steps: z.int().min(1).default(10).describe('updates'),
  learningRate: z.number().positive().default(0.1).describe('peak'),
  files: z.array(z.string()).default([]).describe('more'),
});

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-settings-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function given(args: string[]): Promise<unknown> {
  let seen: unknown;
  const command = stageCommand<typeof Settings, { out: string }>({
    name: 'test',
    description: 'a test',
    settings: Settings,
    flags: (command) => command.requiredOption('--out <dir>', 'where'),
    run: async (settings, flags) => {
      seen = { settings, flags };
    },
  })();
  command.exitOverride().configureOutput({ writeErr: () => {} });
  await command.parseAsync(args, { from: 'user' });
  return seen;
}
const file = async (settings: unknown) => {
  const at = path.join(dir, 'settings.json');
  await writeFile(at, typeof settings === 'string' ? settings : JSON.stringify(settings));
  return at;
};

test('a flag overrides the file, and the file overrides the default', async () => {
  const config = await file({ kind: 'two', steps: 5, learningRate: 0.5 });
  expect(await given(['--out', 'x', '--config', config, '--steps', '7', '--files', 'a', 'b'])).toEqual({
    settings: { kind: 'two', steps: 7, learningRate: 0.5, files: ['a', 'b'] },
    flags: { out: 'x' },
  });
});

test('names a required setting that is missing, and what it may be', async () => {
  await expect(given(['--out', 'x'])).rejects.toThrow('plimsoll train test: --kind is missing: one or two');
});

test('reads keys of a file as flags are written, too', async () => {
  const config = await file({ kind: 'two', 'learning-rate': 0.5 });
  expect(await given(['--out', 'x', '--config', config])).toMatchObject({ settings: { learningRate: 0.5 } });
});

test('a file may have folders and other flags with a value, and a flag overrides them', async () => {
  const config = await file({ kind: 'two', out: 'from-file' });
  expect(await given(['--config', config])).toMatchObject({ settings: { kind: 'two' }, flags: { out: 'from-file' } });
  expect(await given(['--config', config, '--out', 'x'])).toMatchObject({ flags: { out: 'x' } });
  await expect(given(['--kind', 'one'])).rejects.toThrow('plimsoll train test: --out is missing: where');
  await expect(given(['--config', await file({ kind: 'two', out: ['x'] })])).rejects.toThrow(
    'settings.json: out: found ["x"], wanted a text',
  );
});

test('--print-config prints what --config reads, and runs nothing', async () => {
  const log = vi.spyOn(console, 'log').mockReturnValue();
  expect(await given(['--out', 'x', '--kind', 'one', '--steps', '3', '--print-config'])).toBeUndefined();
  const [[printed]] = log.mock.calls as [[string]];
  log.mockRestore();
  expect(await given(['--out', 'x', '--config', await file(printed)])).toMatchObject({
    settings: { kind: 'one', steps: 3, learningRate: 0.1, files: [] },
  });
});

describe('rejects, and names,', () => {
  test.each([
    [
      'an unknown key',
      { kind: 'one', stepz: 5 },
      /settings\.json: there is no setting stepz; there are files, kind, learningRate, steps$/,
    ],
    ['a number out of range', { kind: 'one', steps: 0 }, /settings\.json: steps: found 0, wanted at least 1$/],
    ['a number that is not above 0', { learningRate: 0 }, /settings\.json: learningRate: found 0, wanted more than 0$/],
    ['a fraction', { steps: 1.5 }, /settings\.json: steps: found 1\.5, wanted a whole number$/],
    ['a wrong type', { learningRate: 'fast' }, /settings\.json: learningRate: found "fast", wanted a number$/],
    ['an unknown choice', { kind: 'three' }, /settings\.json: kind: found "three", wanted one or two$/],
    ['a list in the place of settings', [], /settings\.json: found \[\], wanted an object of settings$/],
    ['text that is not JSON', '{', /settings\.json: not JSON/],
  ])('%s in a file', async (_, settings, message) => {
    await expect(given(['--out', 'x', '--config', await file(settings)])).rejects.toThrow(message);
  });

  test.each([
    [['--steps', '0']],
    [['--steps', 'many']],
    [['--learning-rate', '-1']],
    [['--kind', 'three']],
    [['--stepz', '3']],
  ])('the flag %s', async (args) => {
    await expect(given(['--out', 'x', '--kind', 'one', ...args])).rejects.toThrow();
  });

  test('a missing file', async () => {
    await expect(readSettings(path.join(dir, 'none.json'), Settings)).rejects.toThrow(
      'none.json: the settings cannot be read',
    );
  });
});

test('every setting of every stage has a description', () => {
  for (const schema of [TokenizerStage, SftStage, ScoreStage, ExpertStage, RankStage, RouterStage]) {
    for (const [key, type] of Object.entries(schema.shape)) {
      expect(type.description, key).toBeTruthy();
    }
  }
});
