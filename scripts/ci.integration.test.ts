/**
 * `.ci/run` must not end with `0 failed` when anything failed. Stand-ins for npm, python3 and the
 * launcher play each failure.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

/** Plays the part that `PLAY` gives for the first project it should run, or for what it builds. */
const LAUNCHER = `
  import { writeFileSync } from 'node:fs';
  const [command, ...args] = process.argv.slice(2);
  const valueOf = (flag) => args.find((arg) => arg.startsWith(flag + '='))?.slice(flag.length + 1);
  const name = command === 'vitest' ? valueOf('--project') : command.startsWith('site/') ? 'docs' : 'worker';
  const { report, failures = [], code = 0, signal } = JSON.parse(process.env.PLAY)[name] ?? {};
  const good = { success: true, numPassedTests: 2, numFailedTests: 0 };
  const text = typeof report === 'string' ? report : JSON.stringify({ ...good, ...report });
  if (command === 'vitest' && report !== null) writeFileSync(valueOf('--outputFile.json'), text);
  if (command === 'vitest') writeFileSync(process.env.FAILURES_FILE, failures.map((one) => JSON.stringify(one) + '\\n').join(''));
  if (signal) process.kill(process.pid, signal);
  process.exitCode = code;
`;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-ci-'));
  for (const name of ['bin', 'scripts']) mkdirSync(path.join(dir, name));
  cpSync(path.join(import.meta.dirname, '../.ci'), path.join(dir, '.ci'), { recursive: true });
  cpSync(path.join(import.meta.dirname, 'ci-summary.mjs'), path.join(dir, 'scripts/ci-summary.mjs'));
  writeFileSync(path.join(dir, 'scripts/launch.mjs'), LAUNCHER);
  for (const [name, text] of Object.entries({ npm: 'exit $NPM_EXIT', python3: 'exit 0' })) {
    writeFileSync(path.join(dir, 'bin', name), `#!/bin/sh\n${text}\n`);
    chmodSync(path.join(dir, 'bin', name), 0o755);
  }
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function ci(play: object, env: Record<string, string> = {}) {
  const { status, stdout } = spawnSync('bash', ['.ci/run'], {
    cwd: dir,
    encoding: 'utf8',
    env: {
      PATH: [path.join(dir, 'bin'), path.dirname(process.execPath), '/usr/bin', '/bin'].join(':'),
      PLAY: JSON.stringify(play),
      ...env,
    },
  });
  const lines = stdout.trimEnd().split('\n');
  const said = lines.filter((line) => line.startsWith('--- failed: ')).map((line) => line.slice('--- failed: '.length));
  return { code: status, last: lines.at(-1), said };
}

test('if everything passes, counts the tests of all tiers and exits with 0', () => {
  expect(ci({})).toEqual({ code: 0, last: '6 passed, 0 failed', said: [] });
});

test('a tier that skips all its tests fails nothing', () => {
  expect(ci({ heavy: { report: { numPassedTests: 0 } } })).toMatchObject({ code: 0, last: '4 passed, 0 failed' });
});

test('counts each failed test once', () => {
  const report = { success: false, numPassedTests: 1, numFailedTests: 3 };
  expect(ci({ integration: { report, code: 1 } })).toMatchObject({ code: 1, last: '5 passed, 3 failed' });
});

const NOTHING = Object.fromEntries(
  ['unit', 'integration', 'heavy'].map((name) => [name, { report: { numPassedTests: 0 } }]),
);

test.each([
  ['vitest did not run', { unit: { report: null, code: 1 } }, 4],
  ['vitest was killed', { heavy: { report: null, signal: 'SIGKILL' } }, 4],
  ['a report is missing, though vitest exited with 0', { unit: { report: null } }, 4],
  ['a report was cut off', { unit: { report: '{"success": tr', code: 1 } }, 4],
  ['a report lacks its counts', { unit: { report: '{"success": true}' } }, 4],
  ['a test file cannot be loaded', { unit: { report: { success: false }, code: 1 } }, 6],
  ['a tier passes its tests and exits with 1', { integration: { code: 1 } }, 6],
  ['no test ran', NOTHING, 0],
  ['the Worker is not built', { worker: { code: 1 } }, 6],
  ['the documentation is not built', { docs: { code: 1 } }, 6],
])('if %s, counts one failure and exits with 1', (_what, play, passed) => {
  expect(ci(play)).toMatchObject({ code: 1, last: `${passed} passed, 1 failed` });
});

test('adds up failures of several steps', () => {
  const play = { worker: { code: 1 }, unit: { report: null, code: 1 } };
  expect(ci(play, { NPM_EXIT: '1' })).toMatchObject({ code: 1, last: '4 passed, 3 failed' });
});

test('says before the last line what failed: tier, file, test and the first line of the error', () => {
  const failure = { file: 'a/b.test.ts', name: 'a door opens', message: '\u001b[31mfound it shut\nand more' };
  const play = {
    worker: { code: 1 },
    unit: { report: { success: false, numFailedTests: 1 }, failures: [failure], code: 1 },
    heavy: { report: null, signal: 'SIGKILL' },
  };
  expect(ci(play)).toEqual({
    code: 1,
    last: '4 passed, 3 failed',
    said: [
      'worker: its output is above',
      'unit: a/b.test.ts: a door opens: found it shut',
      'heavy: it failed without saying what; its output is above',
    ],
  });
});

test('says of many failures the first twenty, and of none more than a person reads', () => {
  const failures = Array.from({ length: 25 }, (_, i) => ({
    file: 'a.test.ts',
    name: `${i}`,
    message: 'x'.repeat(999),
  }));
  const report = { success: false, numPassedTests: 0, numFailedTests: 25 };
  const { said, last } = ci({ integration: { report, failures, code: 1 } });
  expect(last).toBe('4 passed, 25 failed');
  expect(said).toHaveLength(21);
  expect(said.at(-1)).toBe('5 more');
  expect(Math.max(...said.map((line) => line.length))).toBe(300);
});

test('the reporter knows of tests, of hooks, of files that do not load and of errors that no test awaited', () => {
  const files = {
    'test.test.mjs': `describe('a door', () => test('opens', () => expect(1, 'its handle').toBe(2)));`,
    'hook.test.mjs': `describe('a house', () => { beforeAll(() => { throw new Error('no key'); }); test('stands', () => {}); });`,
    'file.test.mjs': `throw new Error('not a test');`,
    'late.test.mjs': `test('leaves', async () => { Promise.reject(new Error('too late')); await new Promise((end) => setTimeout(end, 9)); });`,
    'good.test.mjs': `test('is well', () => {});`,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(dir, name), text);
  const failuresFile = path.join(dir, 'failures');
  const root = path.join(import.meta.dirname, '..');
  const args = ['run', '--globals', `--reporter=${root}/scripts/report-failures.ts`];
  spawnSync(process.execPath, [path.join(root, 'node_modules/vitest/vitest.mjs'), ...args], {
    cwd: dir,
    env: { ...process.env, FAILURES_FILE: failuresFile },
  });
  const lines = readFileSync(failuresFile, 'utf8').trimEnd().split('\n');
  const failures = lines.map((line) => JSON.parse(line) as { file: string; name: string; message: string });
  expect(failures.map(({ file, name, message }) => [file, name, message.split('\n')[0]]).toSorted()).toEqual([
    ['file.test.mjs', 'the file, or a hook of it', 'not a test'],
    ['hook.test.mjs', 'a house: a hook', 'no key'],
    ['late.test.mjs', 'an error that no test awaited, about when this one ran: leaves', 'too late'],
    ['test.test.mjs', 'a door > opens', 'its handle: expected 1 to be 2 // Object.is equality'],
  ]);
});
