/**
 * Interrupts a stage with `kill -9`, a signal or a full disk, then continues it with `--resume`.
 * The losses must be the same as in an uninterrupted run.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generatePairs } from '#lab/world/generate.ts';
import { TINY } from '#training/testing/tiny-model.ts';

const MAIN = path.join(import.meta.dirname, '../cli/main.ts');
const VOCAB = 400;
/** The test kills a run after this many steps, long before the run would end. */
const KILL_AFTER_STEPS = 8;
/** Makes a checkpoint after each step. */
const EVERY_STEP = ['--checkpoint-every-seconds', '0'];

let dir: string;
const at = (name: string) => path.join(dir, name);

function train(...args: string[]) {
  return spawn(process.execPath, [MAIN, 'train', ...args, '--threads', '1'], { stdio: ['ignore', 'ignore', 'pipe'] });
}
async function end(child: ChildProcess): Promise<{ code: number | null; told: string }> {
  const [told, [code]] = await Promise.all([textOf(child.stderr!), once(child, 'close')]);
  return { code, told };
}
async function finish(...args: string[]): Promise<void> {
  const { code, told } = await end(train(...args));
  expect(code, told).toBe(0);
}
async function kill(run: string, ...args: string[]): Promise<void> {
  const child = train(...args, ...EVERY_STEP, '--out', at(run));
  child.stderr.resume();
  const closed = once(child, 'close');
  while (rows(run).length < KILL_AFTER_STEPS && child.exitCode === null) await wait(5);
  child.kill('SIGKILL');
  expect((await closed)[1]).toBe('SIGKILL');
  expect((await checkpointsOf(run)).length).toBeGreaterThan(0);
}
const checkpointsOf = async (run: string) => (await readdir(at(run))).filter((name) => /^step-\d+$/.test(name)).sort();
const rows = (name: string): { step: number; loss?: number }[] => {
  const file = at(`${name}/metrics.jsonl`);
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
};
const losses = (name: string) => rows(name).flatMap(({ step, loss }) => (loss === undefined ? [] : [[step, loss]]));

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-killed-'));
  const child = spawn(
    process.execPath,
    [MAIN, 'train', 'tokenizer', '--out', at('tokenizer'), '--world', '60', '--real-share', '0', '--vocab', `${VOCAB}`],
    { stdio: 'ignore' },
  );
  expect((await once(child, 'close'))[0]).toBe(0);
  const tiny = { ...TINY, vocab_size: VOCAB, max_position_embeddings: 512, eos_token_id: 5 };
  await writeFile(at('tiny.json'), JSON.stringify(tiny));
  const pairs = generatePairs({ seed: 1, split: 'train', count: 80 }).map((pair) => `${JSON.stringify(pair)}\n`);
  await writeFile(at('pairs.jsonl'), pairs.join(''));
  await mkdir(at('dual'));
  await writeFile(at('dual/train.jsonl'), pairs.slice(0, 60).join(''));
  await writeFile(at('dual/held-out.jsonl'), pairs.slice(60).join(''));
});
afterAll(() => rm(dir, { recursive: true }));

const SFT = ['sft', '--model', 'tiny.json', '--world', '200', '--steps', '60', '--tokens-per-batch', '512'];
const ON_BASE = ['--base', 'sft', '--pairs-per-batch', '1'];
// The pairs come from a file, because the small world would add 600 held-out pairs.
const PAIRS = [...ON_BASE, '--world-pairs', '0', '--pairs', 'pairs.jsonl', '--held-out', '0.2', '--rank', '2'];
const ROUTER = ['router', ...ON_BASE, '--dual', 'dual', '--safety', 'expert', '--helpfulness', 'helpfulness'];
/**
 * Each stage builds on the ones before it. A stage that needs an earlier run uses the run of that
 * name that was not killed.
 */
const STAGES: [run: string, args: string[]][] = [
  ['sft', SFT],
  ['reward', ['reward', ...PAIRS]],
  ['cost', ['cost', ...PAIRS]],
  ['expert', ['expert', '--role', 'safety', ...PAIRS]],
  ['helpfulness', ['expert', '--role', 'helpfulness', ...PAIRS]],
  ['layers', [...ROUTER, '--kind', 'layers']],
  ['logits', [...ROUTER, '--kind', 'logits', '--width', '4']],
];
function withPaths([stage, ...args]: string[]): string[] {
  const inFolder = args.map((value, i) => {
    const flag = args[i - 1] ?? '';
    if (flag === '--pairs') return `plimsoll:${at(value)}`;
    return /^--(model|base|dual|safety|helpfulness)$/.test(flag) ? at(value) : value;
  });
  return [stage!, '--tokenizer', at('tokenizer'), ...inFolder];
}

test.each(STAGES)('%s, killed and resumed, has the same losses as an uninterrupted run', async (run, settings) => {
  const args = withPaths(settings);
  await finish(...args, '--out', at(run));
  await kill(`${run}-killed`, ...args);
  expect(losses(`${run}-killed`).length).toBeLessThan(losses(run).length);
  await finish(...args, '--resume', '--out', at(`${run}-killed`));
  expect(losses(`${run}-killed`)).toEqual(losses(run));
});

describe.skipIf(process.platform === 'win32')('a signal', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)('%s stops sft with exit code 130, and --resume goes on', async (signal) => {
    const run = `sft-${signal}`;
    const args = withPaths(SFT);
    const child = train(...args, '--out', at(run));
    const ended = end(child);
    while (rows(run).length < KILL_AFTER_STEPS && child.exitCode === null) await wait(5);
    child.kill(signal);
    const { code, told } = await ended;
    const step = losses(run).length;
    expect(told).toContain(`plimsoll: sft: ${signal}: saved at step ${step}; --resume goes on from here\n`);
    expect(told).not.toMatch(/^ {4}at /m);
    expect(code).toBe(130);
    expect(step).toBeLessThan(losses('sft').length);
    expect(await checkpointsOf(run)).toEqual([`step-${String(step).padStart(6, '0')}`]);
    await finish(...args, '--resume', '--out', at(run));
    expect(losses(run)).toEqual(losses('sft'));
  });
});

// A file size limit stands in for a full disk: in both cases a write fails halfway.
describe.skipIf(process.platform === 'win32')('a full disk', () => {
  const limited = (blocks: number, ...args: string[]) => {
    const command = ['-c', `ulimit -f ${blocks} && exec "$@"`, 'sh', process.execPath, MAIN, 'train', ...args];
    return end(spawn('sh', command, { stdio: ['ignore', 'ignore', 'pipe'] }));
  };

  test('stops sft, which can be resumed once there is space', async () => {
    const args = withPaths(SFT);
    await kill('full', ...args);
    const newest = (await checkpointsOf('full')).at(-1)!;
    const resume = [...args, ...EVERY_STEP, '--resume', '--out', at('full'), '--threads', '1'];
    const { code, told } = await limited(64, ...resume);
    expect(code).toBe(1);
    const step = Number(newest.replace('step-', ''));
    const tensors = path.join(at('full'), `step-${String(step + 1).padStart(6, '0')}.tmp`, 'tensors.safetensors');
    expect(told).toContain(
      `sft: step ${step + 1}: ${tensors} cannot be written: the file is larger than the file system or a limit allows (EFBIG): `,
    );
    expect(told).toContain(
      `; the last checkpoint (step ${step}) is intact; once the file can be written, --resume goes on`,
    );
    expect((await checkpointsOf('full')).at(-1)).toBe(newest);
    expect((await readdir(at('full'))).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    await finish(...args, '--resume', '--out', at('full'));
    expect(losses('full')).toEqual(losses('sft'));
  });

  test('leaves no half-written bundle', async () => {
    const to = ['--out', at('models/bundle'), '--id', 'tiny'];
    const { code, told } = await limited(8, 'export', '--base', at('sft'), '--tokenizer', at('tokenizer'), ...to);
    expect([code, told]).toEqual([
      1,
      `plimsoll: ${at('models/bundle')} cannot be written: EFBIG: file too large, write\n`,
    ]);
    expect(await readdir(at('models'))).toEqual([]);
  });
});
