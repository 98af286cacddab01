import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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

test('names a required setting that is missing', async () => {
  await expect(given(['--out', 'x'])).rejects.toThrow(/plimsoll train test: .*kind/);
});

describe('rejects, and names,', () => {
  test.each([
    ['an unknown key', { kind: 'one', stepz: 5 }, /settings\.json: .*stepz/],
    ['a number out of range', { kind: 'one', steps: 0 }, /settings\.json: .*steps/],
    ['a wrong type', { kind: 'one', learningRate: 'fast' }, /settings\.json: .*learningRate/],
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
