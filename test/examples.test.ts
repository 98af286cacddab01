/** Runs the examples as a reader would: each in its own process, against a real stack. */
import { execFile, spawnSync } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningStack, startStack } from './running-stack.ts';

const EXAMPLES = path.join(import.meta.dirname, '../examples');

let stack: RunningStack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(async () => {
  await stack?.stop();
});

/** Returns what the example prints. Rejects with its stderr if the exit code is not 0. */
function run(command: string, file: string, key = 'pk-demo-balanced'): Promise<string> {
  const env = { ...process.env, PLIMSOLL_URL: stack.url, PLIMSOLL_KEY: key };
  return new Promise((resolve, reject) => {
    execFile(command, [path.join(EXAMPLES, file)], { env }, (error, stdout) => {
      if (error === null) resolve(stdout);
      else reject(error);
    });
  });
}

/** Splits the output into its parts: heading -> lines. */
function partsOf(output: string): Record<string, string[]> {
  return Object.fromEntries(
    output
      .split(/^# /m)
      .slice(1)
      .map((part) => {
        const [heading, ...lines] = part.trim().split('\n');
        return [heading!, lines];
      }),
  );
}

/** Says why the command cannot run here, or returns null if it can. */
function missing(command: string, ...args: string[]): string | null {
  const { error, status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (error !== undefined) return `${command} is missing: ${error.message}`;
  return status === 0 ? null : `${command} ${args.join(' ')}: ${stderr.trim().split('\n').at(-1)}`;
}

const CLIENTS: [file: string, command: string, why: string | null][] = [
  ['openai-node.mjs', process.execPath, null],
  ['openai-python.py', 'python3', missing('python3', '-c', 'import openai')],
];
test.for(CLIENTS)(
  '%s gets the same answer whole and streamed, and also an answer under a stricter line',
  async (example, { skip }) => {
    const [file, command, why] = example;
    if (why !== null) {
      console.warn(`examples/${file} is not run: ${why}`);
      skip(why);
    }
    const parts = partsOf(await run(command, file));
    const [answer, tenant, floor, budget] = parts['A whole answer']!;
    expect(answer).toMatch(/\w/);
    expect(tenant).toMatch(/^tenant demo-balanced, policy [0-9a-f]{32}$/);
    expect(floor).toMatch(/^floor 0\.\d+, safety weights from [01]\.\d\d to [01]\.\d\d$/);
    const [, spent] = budget!.match(/^budget [\d.]+, spent (-?\d+\.\d\d) nats$/)!;
    expect(parts['The same answer, streamed']).toEqual([answer, `spent ${spent} nats`]);

    const [strict, ...table] = parts['Under a stricter line, token by token']!;
    expect(strict).toMatch(/\w/);
    expect(table.filter((row) => /\b0\.90?\b/.test(row)).length).toBeGreaterThanOrEqual(4);
  },
);

test('curl.sh gets a JSON answer to each of its requests, and one stream', async ({ skip }) => {
  const why = missing('bash', '-c', 'curl --version');
  if (why !== null) skip(why);
  const parts = Object.values(partsOf(await run('bash', 'curl.sh')));
  expect(parts.length).toBe(6);
  const [models, whole, stream, strict, traced, jwks] = parts.map((lines) => lines.join('\n'));
  expect(JSON.parse(models!).data[0].id).toBe(stack.model);
  expect(Object.keys(JSON.parse(whole!).plimsoll).sort()).toEqual(['policy', 'receipt']);
  const deltas = [...stream!.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json!));
  const streamed = deltas.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
  expect(streamed).toBe(JSON.parse(whole!).choices[0].message.content);
  expect(stream).toMatch(/^data: \[DONE\]$/m);
  expect(JSON.parse(strict!).plimsoll).toMatchObject({ floor: 0.9, budget: 1 });
  expect(JSON.parse(traced!).plimsoll.tokens.length).toBeGreaterThan(0);
  expect(JSON.parse(jwks!).keys[0].kty).toBe('OKP');
});

test.each(['pk-demo-strict', 'pk-demo-open'])(
  'check-receipt.mjs accepts a receipt for %s and rejects forgeries',
  async (key) => {
    const output = await run(process.execPath, 'check-receipt.mjs', key);
    expect(output).toContain('The receipt is genuine and belongs to this question and this answer.');
    expect(output).toContain(key.replace('pk-', ''));
    expect(output.match(/: refused, /g)).toHaveLength(3);
  },
);

test('an example with a wrong API key ends with an error', async () => {
  await expect(run('bash', 'curl.sh', 'pk-wrong')).rejects.toThrow();
  await expect(run(process.execPath, 'check-receipt.mjs', 'pk-wrong')).rejects.toThrow('Incorrect API key');
});
