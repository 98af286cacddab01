import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { DIALOGUE_LAYOUTS } from './dialogues.ts';
import { PREFERENCE_LAYOUTS, type PreferenceLayout } from './preferences.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-trl-'));
});
afterAll(() => rm(dir, { recursive: true }));
async function write(...rows: object[]): Promise<string> {
  const file = path.join(dir, 'rows.jsonl');
  await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return file;
}
const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

describe("TRL's rows", () => {
  test.each([
    ['plain', { prompt: 'q', chosen: 'yes', rejected: 'no' }],
    ['conversational', { prompt: [user('q')], chosen: [assistant('yes')], rejected: [assistant('no')] }],
    [
      'without a prompt of their own',
      { chosen: [user('q'), assistant('yes')], rejected: [user('q'), assistant('no')] },
    ],
    [
      'with the prompt twice',
      { prompt: 'q', chosen: [user('q'), assistant('yes')], rejected: [user('q'), assistant('no')] },
    ],
  ])('are read, %s', async (_, row) => {
    const file = await write(row);
    const pair = { prompt: [user('q')], responses: ['yes', 'no'], safe: [null, null], source: file };
    const read = (dimension: 'safer' | 'better') => Array.fromAsync(PREFERENCE_LAYOUTS.trl(file, { dimension }));
    expect(await read('safer')).toEqual([{ ...pair, safer: 0, better: null }]);
    expect(await read('better')).toEqual([{ ...pair, safer: null, better: 0 }]);
  });

  test('keep their system message, their source and their licence', async () => {
    const system = { role: 'system', content: 's' };
    const more = { source: 'mine', licence: 'MIT' };
    const file = await write({ prompt: [system, user('q')], chosen: 'yes', rejected: 'no', ...more });
    const [pair] = await Array.fromAsync(PREFERENCE_LAYOUTS.trl(file));
    expect(pair).toMatchObject({ prompt: [system, user('q')], ...more });
  });

  test('whose two conversations differ before the answer are skipped and counted', async () => {
    const onSkip = vi.fn<(reason: string) => void>();
    const file = await write(
      { chosen: [user('q'), assistant('yes')], rejected: [user('r'), assistant('no')] },
      { chosen: [user('q'), user('yes')], rejected: [user('q'), assistant('no')] },
    );
    expect(await Array.fromAsync(PREFERENCE_LAYOUTS.trl(file, { onSkip }))).toEqual([]);
    expect(onSkip.mock.calls).toEqual([['promptsDiffer'], ['noAnswer']]);
  });
});

describe('a row of another layout', () => {
  test.each<[PreferenceLayout, object, string]>([
    ['plimsoll', { prompt: 'q', chosen: 'yes', rejected: 'no' }, 'the row looks like trl: --pairs trl:FILE'],
    [
      'ultrafeedback',
      { prompt: 'p', response_0: 'a', response_1: 'b', better: 0, safer: null },
      'the row looks like plimsoll: --pairs plimsoll:FILE',
    ],
    [
      'trl',
      { messages: [user('q'), assistant('a')] },
      'the row looks like messages, one conversation and no pair of answers: sft --dialogues messages:FILE',
    ],
    [
      'trl',
      { question: 'q', chosen: 'yes', rejected: 'no' },
      'the row looks like trl, which has prompt, chosen, rejected; its keys are question, chosen, rejected',
    ],
    ['plimsoll', { text: 'hello' }, 'its keys are text'],
  ])('given as %s is told what it looks like', async (layout, row, message) => {
    const file = await write(row);
    const read = Array.fromAsync<unknown>(PREFERENCE_LAYOUTS[layout](file));
    await expect(read).rejects.toThrow(`${file}:1: `);
    await expect(Array.fromAsync<unknown>(PREFERENCE_LAYOUTS[layout](file))).rejects.toThrow(message);
  });

  test('given as a dialogue is told so too', async () => {
    const file = await write({ prompt: 'q', chosen: 'yes', rejected: 'no' });
    await expect(Array.fromAsync(DIALOGUE_LAYOUTS.messages.read(file))).rejects.toThrow(
      'messages: found nothing, wanted a list; the row looks like trl: --pairs trl:FILE',
    );
  });

  test('is told in plain words what is wrong with it', async () => {
    const file = await write({ prompt: 'p', response_0: 'a', response_1: 7, better: 2, safer: null });
    await expect(Array.fromAsync(PREFERENCE_LAYOUTS.plimsoll(file))).rejects.toThrow(
      'response_1: found 7, wanted a text; better: found 2, wanted 0 or 1',
    );
  });
});
