/** `kill -9` in the middle of a stage, then `--resume`: the losses from there on are those of a run that nobody killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TINY } from '#training/testing/tiny-model.ts';

const MAIN = path.join(import.meta.dirname, '../cli/main.ts');
const VOCAB = 400;
/** The killed run has got this far, and has a long way to go. */
const KILL_AFTER_STEPS = 8;

let dir: string;
const at = (name: string) => path.join(dir, name);

function train(...args: string[]) {
  return spawn(process.execPath, [MAIN, 'train', ...args, '--threads', '1'], { stdio: ['ignore', 'ignore', 'pipe'] });
}
async function finish(...args: string[]): Promise<void> {
  const child = train(...args);
  let told = '';
  child.stderr.on('data', (chunk) => {
    told += chunk;
  });
  const [code] = await once(child, 'close');
  expect(code, told).toBe(0);
}
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
}, 60_000);
afterAll(() => rm(dir, { recursive: true }));

test.each([
  ['sft', ['--model', 'tiny.json', '--world', '200', '--steps', '60', '--tokens-per-batch', '512']],
  ['cost', ['--base', 'sft-whole', '--world-pairs', '60', '--pairs-per-batch', '1', '--rank', '2']],
  [
    'expert',
    ['--base', 'sft-whole', '--role', 'safety', '--world-pairs', '60', '--pairs-per-batch', '1', '--rank', '2'],
  ],
])('stage %s', { timeout: 120_000 }, async (stage, settings) => {
  const inFolder = settings.map((value) => (/^(tiny\.json|sft-whole)$/.test(value) ? at(value) : value));
  const args = [stage, '--tokenizer', at('tokenizer'), '--checkpoint-every-seconds', '0', ...inFolder];
  await finish(...args, '--out', at(`${stage}-whole`));

  const killed = train(...args, '--out', at(`${stage}-killed`));
  killed.stderr.resume();
  const closed = once(killed, 'close');
  while (rows(`${stage}-killed`).length < KILL_AFTER_STEPS && killed.exitCode === null) await wait(5);
  killed.kill('SIGKILL');
  expect((await closed)[1]).toBe('SIGKILL');
  const checkpoints = (await readdir(at(`${stage}-killed`))).filter((name) => /^step-\d+$/.test(name));
  expect(checkpoints.length).toBeGreaterThan(0);
  expect(losses(`${stage}-killed`).length).toBeLessThan(losses(`${stage}-whole`).length);

  await finish(...args, '--resume', '--out', at(`${stage}-killed`));
  expect(losses(`${stage}-killed`)).toEqual(losses(`${stage}-whole`));
});
