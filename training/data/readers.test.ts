import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { DIALOGUE_LAYOUTS } from './dialogues.ts';
import { PREFERENCE_LAYOUTS } from './preferences.ts';
import type { SkipReason } from './skips.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-readers-'));
});
afterAll(() => rm(dir, { recursive: true }));

let files = 0;
async function write(rows: readonly (object | string)[], { gzip = false } = {}): Promise<string> {
  const text = rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n');
  const file = path.join(dir, `${files++}.jsonl${gzip ? '.gz' : ''}`);
  await writeFile(file, gzip ? gzipSync(text) : text);
  return file;
}
const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

describe('dialogues', () => {
  test('Alpaca: puts the input after the instruction and leaves out an empty answer', async () => {
    const file = await write([
      { instruction: 'Add.', input: '1 and 2', output: '3', source: 'sums' },
      { instruction: 'Say hello.', input: '', output: 'Hello.' },
      { instruction: 'Nothing.', output: ' ' },
    ]);
    const onSkip = vi.fn();
    const rows = await Array.fromAsync(DIALOGUE_LAYOUTS.alpaca.read(file, { onSkip }));
    expect(onSkip.mock.calls).toEqual([['emptyAnswer']]);
    expect(rows).toEqual([
      { messages: [user('Add.\n\n1 and 2'), assistant('3')], source: 'sums' },
      { messages: [user('Say hello.'), assistant('Hello.')], source: file },
    ]);
  });

  test('Dolly: reads context and response', async () => {
    const file = await write([{ instruction: 'Who?', context: 'Ada wrote it.', response: 'Ada.', category: 'qa' }]);
    const [row] = await Array.fromAsync(DIALOGUE_LAYOUTS.dolly.read(file));
    expect(row!.messages).toEqual([user('Who?\n\nAda wrote it.'), assistant('Ada.')]);
  });

  test('messages: drops whatever follows the last answer', async () => {
    const rows = [{ messages: [user('a'), assistant('b'), user('c')] }, { messages: [user('a'), user('b')] }];
    const file = await write(rows, { gzip: true });
    const onSkip = vi.fn();
    const [row, ...more] = await Array.fromAsync(DIALOGUE_LAYOUTS.messages.read(file, { onSkip }));
    expect(onSkip.mock.calls).toEqual([['noAnswer']]);
    expect(more).toEqual([]);
    expect(row!.messages).toEqual([user('a'), assistant('b')]);
  });

  test('a line separator inside a string does not end the line', async () => {
    const file = await write([{ instruction: 'one\u2028line', output: 'yes' }]);
    const [row] = await Array.fromAsync(DIALOGUE_LAYOUTS.alpaca.read(file));
    expect(row!.messages[0]!.content).toBe('one\u2028line');
  });
});

describe('preferences', () => {
  test('PKU-SafeRLHF: keeps both labels, and whether each answer is safe if the row says so', async () => {
    const pair = { prompt: 'p', response_0: 'a', response_1: 'b', better_response_id: 0, safer_response_id: 1 };
    const file = await write([{ ...pair, is_response_0_safe: false, is_response_1_safe: true }, pair]);
    const [row, bare] = await Array.fromAsync(PREFERENCE_LAYOUTS['pku-saferlhf'](file));
    const common = { prompt: [user('p')], responses: ['a', 'b'], better: 0, safer: 1, source: 'PKU-SafeRLHF' };
    expect(row).toEqual({ ...common, safe: [false, true] });
    expect(bare).toEqual({ ...common, safe: [null, null] });
  });

  test('HH-RLHF: cuts the transcripts before the last answer, and takes the dimension from the caller', async () => {
    const start = '\n\nHuman: hi\n\nAssistant: hello\n\nHuman: how?\n\nAssistant:';
    const file = await write([{ chosen: `${start} gently`, rejected: `${start} roughly` }]);
    const [row] = await Array.fromAsync(PREFERENCE_LAYOUTS['hh-rlhf'](file, { dimension: 'better' }));
    expect(row).toMatchObject({
      prompt: [user('hi'), assistant('hello'), user('how?')],
      responses: ['gently', 'roughly'],
      better: 0,
      safer: null,
    });
  });

  test('HH-RLHF: skips and reports rows with two different prompts or a human turn at the end', async () => {
    const start = '\n\nHuman: hi\n\nAssistant:';
    const file = await write([
      { chosen: `${start} yes`, rejected: `${start} no` },
      { chosen: `${start} yes`, rejected: '\n\nHuman: bye\n\nAssistant: no' },
      { chosen: `${start} yes\n\nHuman: why?`, rejected: `${start} no` },
    ]);
    const onSkip = vi.fn<(reason: SkipReason) => void>();
    const rows = await Array.fromAsync(PREFERENCE_LAYOUTS['hh-rlhf'](file, { onSkip }));
    expect(rows).toHaveLength(1);
    expect(onSkip.mock.calls).toEqual([['promptsDiffer'], ['noAnswer']]);
  });

  test('UltraFeedback: cuts the conversation before the last answer, and treats equal scores as a tie', async () => {
    const conversation = (answer: string) => [user('p'), assistant(answer)];
    const row = { prompt: 'p', chosen: conversation('good'), rejected: conversation('poor') };
    const file = await write([
      { ...row, score_chosen: 8, score_rejected: 5.5 },
      { ...row, score_chosen: 5, score_rejected: 5 },
    ]);
    const rows = await Array.fromAsync(PREFERENCE_LAYOUTS.ultrafeedback(file));
    const common = { prompt: [user('p')], responses: ['good', 'poor'], safer: null, safe: [null, null] };
    expect(rows).toMatchObject([
      { ...common, better: 0 },
      { ...common, better: null },
    ]);
  });

  test('our own files: the prompt may be a text or messages', async () => {
    const pair = { response_0: 'a', response_1: 'b', better: null, safer: 1, source: 's' };
    const file = await write([
      { prompt: 'p', ...pair },
      { prompt: [user('q')], ...pair },
    ]);
    const rows = await Array.fromAsync(PREFERENCE_LAYOUTS.plimsoll(file));
    expect(rows.map(({ prompt }) => prompt)).toEqual([[user('p')], [user('q')]]);
    expect(rows[0]!.safe).toEqual([null, null]);
  });
});

describe('an error about a bad file names the file, the line and the fault', () => {
  const pku = { prompt: 'p', response_0: 'a', response_1: 'b', better_response_id: 0, safer_response_id: 1 };
  test.each([
    ['not JSON', [pku, '{"prompt": '], /:2: not JSON/],
    ['a missing field', [pku, pku, { ...pku, response_1: undefined }], /:3: .*response_1/],
    ['a verdict out of range', [{ ...pku, safer_response_id: 2 }], /:1: .*safer_response_id/],
    ['an empty file', [], /the file is empty/],
  ])('%s', async (_, rows, message) => {
    const file = await write(rows);
    await expect(Array.fromAsync(PREFERENCE_LAYOUTS['pku-saferlhf'](file))).rejects.toThrow(message);
    await expect(Array.fromAsync(PREFERENCE_LAYOUTS['pku-saferlhf'](file))).rejects.toThrow(file);
  });

  test('a transcript without an answer', async () => {
    const file = await write([{ chosen: '\n\nHuman: hi', rejected: '\n\nHuman: hi\n\nAssistant: x' }]);
    await expect(Array.fromAsync(PREFERENCE_LAYOUTS['hh-rlhf'](file))).rejects.toThrow(/:1: .*transcript.*chosen/s);
  });

  test.each([
    ['a broken archive', 'rows.jsonl.gz', gzipSync(`${JSON.stringify(pku)}\n`).subarray(0, 40), /rows\.jsonl\.gz.*: /],
    ['a file that is not an archive', 'plain.jsonl.gz', '{}', /plain\.jsonl\.gz: incorrect header check/],
    ['bytes that are not UTF-8', 'latin.jsonl', Buffer.from('{"a":"\xe9"}', 'latin1'), /latin\.jsonl: .*not valid/],
    ['a compression we do not read', 'rows.jsonl.xz', '', /rows\.jsonl\.xz: .*unpack it first/],
    ['a file that is not Parquet', 'rows.parquet', 'PAR0 and so on', /rows\.parquet: .*parquet/],
  ])('%s', async (_, name, bytes, message) => {
    const file = path.join(dir, name);
    await writeFile(file, bytes);
    await expect(Array.fromAsync(PREFERENCE_LAYOUTS['pku-saferlhf'](file))).rejects.toThrow(message);
  });

  test('a missing file', async () => {
    await expect(Array.fromAsync(PREFERENCE_LAYOUTS.plimsoll(path.join(dir, 'none.jsonl')))).rejects.toThrow(
      'none.jsonl',
    );
  });
});
