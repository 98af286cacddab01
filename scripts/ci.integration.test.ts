/**
 * `.ci/run` must not end with `0 failed` when anything failed. Stand-ins for npm, python3 and the
 * launcher play each failure.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

/** Plays the part that `PLAY` gives for the first project it should run, or for what it builds. */
const LAUNCHER = `
  import { writeFileSync } from 'node:fs';
  const [command, ...args] = process.argv.slice(2);
  const valueOf = (flag) => args.find((arg) => arg.startsWith(flag + '='))?.slice(flag.length + 1);
  const name = command === 'vitest' ? valueOf('--project') : command.startsWith('site/') ? 'docs' : 'worker';
  const { report, code = 0, signal } = JSON.parse(process.env.PLAY)[name] ?? {};
  const good = { success: true, numPassedTests: 2, numFailedTests: 0 };
  const text = typeof report === 'string' ? report : JSON.stringify({ ...good, ...report });
  if (command === 'vitest' && report !== null) writeFileSync(valueOf('--outputFile.json'), text);
  if (signal) process.kill(process.pid, signal);
  process.exitCode = code;
`;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-ci-'));
  for (const name of ['bin', 'scripts']) mkdirSync(path.join(dir, name));
  cpSync(path.join(import.meta.dirname, '../.ci'), path.join(dir, '.ci'), { recursive: true });
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
  return { code: status, last: stdout.trimEnd().split('\n').at(-1) };
}

test('if everything passes, counts the tests of all tiers and exits with 0', () => {
  expect(ci({})).toEqual({ code: 0, last: '6 passed, 0 failed' });
});

test('a tier that skips all its tests fails nothing', () => {
  expect(ci({ heavy: { report: { numPassedTests: 0 } } })).toEqual({ code: 0, last: '4 passed, 0 failed' });
});

test('counts each failed test once', () => {
  const report = { success: false, numPassedTests: 1, numFailedTests: 3 };
  expect(ci({ integration: { report, code: 1 } })).toEqual({ code: 1, last: '5 passed, 3 failed' });
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
  expect(ci(play)).toEqual({ code: 1, last: `${passed} passed, 1 failed` });
});

test('adds up failures of several steps', () => {
  const play = { worker: { code: 1 }, unit: { report: null, code: 1 } };
  expect(ci(play, { NPM_EXIT: '1' })).toEqual({ code: 1, last: '4 passed, 3 failed' });
});
