/**
 * Runs what README.md and pages of the documentation tell a reader to paste: every block marked
 * `sh`, in order and in one shell, and every block marked `js`, each as a program. Only the
 * address, the model and the way `plimsoll` is started are changed.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningStack, startStack } from './running-stack.ts';

const ROOT = path.join(import.meta.dirname, '..');
const MAIN = path.join(ROOT, 'cli/main.ts');
const PAGES = ['README.md', 'docs/README.md', 'docs/quick-start.md', 'docs/admin-api.md', 'docs/responses.md'];
const SHELL = ['bash', 'curl', 'sed'].filter((tool) => spawnSync(tool, ['--version']).error !== undefined);
const run = promisify(execFile);

let stack: RunningStack;
/** Inside the checkout, as a reader's own, so that programs find the packages that are there. */
let folder: string;
beforeAll(async () => {
  stack = await startStack();
  await mkdir(path.join(ROOT, '.plimsoll'), { recursive: true });
  folder = await mkdtemp(path.join(ROOT, '.plimsoll/snippets-'));
});
afterAll(async () => {
  await stack?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function blocks(page: string, language: string): Promise<string[]> {
  const text = await readFile(path.join(ROOT, page), 'utf8');
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .filter(([, name]) => name === language)
    .map(([, , code]) => code!);
}

/** The reader's address and model are another one's. Everything else stays. */
const here = (code: string) =>
  code
    .replaceAll('http://127.0.0.1:8787', stack.url)
    .replaceAll(/smollm2-135m-instruct|plimsoll-demo/g, stack.model)
    .replaceAll('npx plimsoll', `'${process.execPath}' '${MAIN}'`);

async function shell(page: string): Promise<string> {
  const script = (await blocks(page, 'sh')).map(here).join('\necho\n');
  expect(script).not.toBe('');
  const env = {
    ...process.env,
    NODE_OPTIONS: '--disable-warning=ExperimentalWarning',
    PATH: `${path.dirname(process.execPath)}${path.delimiter}${process.env.PATH}`,
  };
  const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', script], { cwd: folder, env });
  return stdout;
}

describe.skipIf(SHELL.length > 0)('what a reader pastes into a shell', () => {
  test('README.md: the stream ends as a whole one does, with a receipt', async () => {
    const output = await shell('README.md');
    expect(output).toMatch(/"receipt":"[\w-]+\.[\w-]+\.[\w-]+"/);
    expect(output.trim()).toMatch(/data: \[DONE\]$/);
  });

  test('docs/README.md: an answer of the strict tenant', async () => {
    const answer = JSON.parse(await shell('docs/README.md'));
    expect(answer.choices[0].message.content).toMatch(/\w/);
    expect(answer.plimsoll.policy.tenant).toBe('demo-strict');
    expect(answer.plimsoll.floor).toBeGreaterThanOrEqual(0.9);
  });

  test('docs/quick-start.md: three lines, a tenant, its key, two versions of its policy and back, a receipt', async () => {
    const output = await shell('docs/quick-start.md');
    const strict = JSON.parse(output.slice(0, output.indexOf('\n== ')));
    expect(strict.plimsoll.policy.tenant).toBe('demo-strict');
    const texts = [...output.matchAll(/^== (pk-demo-\w+)\n(.+)$/gm)];
    expect(texts.map(([, key]) => key)).toEqual(['pk-demo-strict', 'pk-demo-balanced', 'pk-demo-open']);
    expect(new Set(texts.map(([, , text]) => text)).size).toBe(3);
    expect(output).toMatch(/tenant: 'corner-shop'[\s\S]*floor: 0\.5,\s+budget: 8/);
    const active = [...output.matchAll(/^corner-shop: ([0-9a-f]{32}) is active/gm)].map(([, version]) => version);
    expect(active).toHaveLength(3);
    expect(active[2]).toBe(active[0]);
    expect(active[1]).not.toBe(active[0]);
    expect(output.trim().split('\n').at(-1)).toMatch(/^genuine, signed /);
    expect(JSON.parse(await readFile(path.join(folder, 'corner-shop.json'), 'utf8')).floor).toBe(0.7);
  });

  test('docs/admin-api.md: a plan, a tenant, its key, an answer, another version, the log, what was watched', async () => {
    const output = await shell('docs/admin-api.md');
    expect(output).not.toContain('"error"');
    expect(output).toMatch(/^[0-9a-f]{64}$/m);
    expect(output).toMatch(/"object":"chat\.completion".*"tenant":"acme"/);
    expect(output).toMatch(/"floor":0\.8,/);
    expect(output).toMatch(/^\{"valid":true,"entries":4,/m);
    expect(output).toMatch(/^\{"id":"acme","name":"Acme Ltd","policy_version":"[0-9a-f]{32}","changed":true\}$/m);
  });

  test('docs/responses.md: a response', async () => {
    expect(JSON.parse(await shell('docs/responses.md'))).toMatchObject({ object: 'response', status: 'completed' });
  });
});

describe.each(['README.md', 'docs/quick-start.md'])('the programs in %s', (page) => {
  test('run as they are pasted, and print an answer', async () => {
    const programs = await blocks(page, 'js');
    expect(programs).not.toEqual([]);
    for (const [i, program] of programs.entries()) {
      const file = path.join(folder, `${path.basename(page)}-${i}.mjs`);
      await writeFile(file, here(program));
      const { stdout } = await run(process.execPath, [file]);
      expect(stdout).toMatch(/\w+ \w+/);
      if (program.includes("'floor'")) expect(stdout).toMatch(/floor 0\.9 spent -?\d/);
    }
  });
});

test('what is not run is only what a reader starts, waits for, or has to fill in', async () => {
  const beginnings: string[] = [];
  for (const page of PAGES) {
    const others = [...(await blocks(page, '')), ...(await blocks(page, 'bash'))];
    beginnings.push(...others.map((code) => code.split(/\s/, 2).join(' ')));
  }
  expect([...new Set(beginnings)].sort()).toEqual([
    'PLIMSOLL_OPERATOR_KEY=... npx',
    ...['npm start', 'npx plimsoll', 'ready http://127.0.0.1:8787'],
  ]);
});
