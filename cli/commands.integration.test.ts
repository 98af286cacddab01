/** Tests the command line as a user sees it: each case starts a process. */
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import manifest from '../package.json' with { type: 'json' };
import { runPlimsoll, startPlimsoll } from './testing/run-plimsoll.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-cli-'));
  await writeBundle(path.join(folder, 'tiny'), tinyBundle());
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const plimsoll = (args: string[], env: Record<string, string> = {}) => runPlimsoll(args, { cwd: folder, env });

test('--version prints the version in package.json', async () => {
  expect(await plimsoll(['--version'])).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: '' });
});

test('--help lists the commands, and each one has its own help', async () => {
  const { stdout } = await plimsoll(['--help']);
  const commands = [...stdout.split('Commands:')[1]!.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name!);
  expect(commands).toEqual(expect.arrayContaining(['serve', 'backend', 'policy', 'model', 'train']));
  for (const command of commands.filter((name) => name !== 'help')) {
    const help = await plimsoll([command, '--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toMatch(new RegExp(`^Usage: plimsoll ${command} `));
    expect(help.stdout).not.toMatch(/default: (false|\[\])/);
  }
});

test('serve has the options of a backend, in the same words', async () => {
  const [serve, backend] = await Promise.all([plimsoll(['serve', '--help']), plimsoll(['backend', '--help'])]);
  const optionsOf = ({ stdout }: { stdout: string }) =>
    stdout
      .split('Options:')[1]!
      .split(/\n(?= {2}-)/)
      .map((option) => option.trim().replaceAll(/\s+/g, ' '));
  // The backends of a local stack are in its edge's settings, so they do not register.
  const own = ['--bundle', '--port', '--register', '--region', '-h,'];
  const shared = optionsOf(backend).filter((option) => option !== '' && !own.some((name) => option.startsWith(name)));
  expect(shared.map((option) => option.split(' ', 1)[0])).toEqual([
    '--provider',
    '--context',
    '--kv-bytes',
    '--prefix-cache',
    '--public-prefixes',
    '--no-speculation',
  ]);
  expect(optionsOf(serve)).toEqual(expect.arrayContaining(shared));
});

test('for an unknown command, suggests the one that was probably meant', async () => {
  const { code, stderr } = await plimsoll(['modle']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/unknown command 'modle'\n\(Did you mean model\?\)/);
});

test('model check prints what a bundle holds', async () => {
  const { code, stdout } = await plimsoll(['model', 'check', 'tiny']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^id +tiny$/m);
  expect(stdout).toContain((await loadBundle(path.join(folder, 'tiny'))).digest);
  expect(stdout).toMatch(/^parameters +[\d,]+$/m);
  expect(stdout).toMatch(/^expert +safety: safety, rank 4 on down_proj, alpha 8, [\d,]+ parameters$/m);
});

test('model check says what an adapter was trained on, if that is another base', async () => {
  const parts = tinyBundle();
  const experts = parts.experts.map((expert) => ({ ...expert, trainedOn: 'org/base' }));
  await writeBundle(path.join(folder, 'elsewhere'), { ...parts, experts });
  const { stdout } = await plimsoll(['model', 'check', 'elsewhere']);
  expect(stdout).toMatch(/^expert +safety: .* parameters, trained on "org\/base"$/m);
});

test('model check names the folder and the broken file, without a stack trace', async () => {
  await mkdir(path.join(folder, 'empty'));
  expect(await plimsoll(['model', 'check', 'empty'])).toEqual({
    code: 1,
    stdout: '',
    stderr: 'plimsoll: the bundle in empty: config.json: cannot be read: found no such file, wanted a readable file\n',
  });
});

test('a command whose reader has left ends without a word', async () => {
  const child = startPlimsoll(['model', 'check', 'tiny'], { cwd: folder });
  child.stdout.destroy();
  const [stderr, [code]] = await Promise.all([textOf(child.stderr), once(child, 'close')]);
  expect([code, stderr]).toEqual([0, '']);
});

test('the help of a command marks what is required', async () => {
  expect((await plimsoll(['train', 'tokenizer', '--help'])).stdout).toMatch(/--out <dir> .*\(required\)$/m);
});

test('eval names the folder and the broken file, without a stack trace', async () => {
  await mkdir(path.join(folder, 'broken'));
  await writeFile(path.join(folder, 'broken/plimsoll.json'), '{}');
  expect(await plimsoll(['eval', '--bundle', 'broken'])).toEqual({
    code: 1,
    stdout: '',
    stderr: `plimsoll: the bundle in ${path.join(folder, 'broken')}: config.json: cannot be read: found no such file, wanted a readable file\n`,
  });
});

test('policy check and policy hash agree on the version', async () => {
  const file = path.join(import.meta.dirname, '../policies/demo/strict.json');
  const { stdout: version } = await plimsoll(['policy', 'hash', file]);
  expect(version).toMatch(/^[0-9a-f]{32}\n$/);
  expect((await plimsoll(['policy', 'check', file])).stdout).toBe(`${file} is a valid policy, version ${version}`);
});

test.each([
  [
    '{"floor": 2, "budget": null, "flor": 1}',
    /is not a valid policy\n.*: floor: found 2, .*\n.*: flor: found an unknown/,
  ],
  ['{', /is not a valid policy\n.*not JSON/],
])('policy check explains %s', async (text, message) => {
  await writeFile(path.join(folder, 'policy.json'), text);
  const { code, stderr } = await plimsoll(['policy', 'check', 'policy.json']);
  expect(code).toBe(1);
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/^ {4}at /m);
});

test.each([
  [{ PORT: 'http' }, /PORT: a port is a number/],
  [{ PLIMSOLL_BUNDLE: '/nowhere' }, /there is no bundle in \/nowhere; --bundle, PLIMSOLL_BUNDLE and .* name/],
])('serve with %j exits at once and says why', async (env, message) => {
  const { code, stdout, stderr } = await plimsoll(['serve'], { PLIMSOLL_DATA: folder, ...env });
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(message);
});

test.each([
  ['policy check', 'nowhere', 'nowhere cannot be read: no such file or folder; a policy is a JSON file'],
  ['policy hash', 'tiny', 'tiny cannot be read: it is a folder; a policy is a JSON file'],
  ['model check', 'nowhere', 'nowhere cannot be read: no such file or folder; a bundle is a folder'],
  [
    'model check',
    'tiny/plimsoll.json',
    'tiny/plimsoll.json cannot be read: it is a file, or below one; a bundle is a folder',
  ],
])('%s %s says what is wrong, in words and not as an error code', async (command, place, words) => {
  const { code, stderr } = await plimsoll([...command.split(' '), place]);
  expect(code).toBe(1);
  expect(stderr).toContain(words);
  expect(stderr).not.toMatch(/ENOENT|EISDIR|ENOTDIR/);
});

test('serve has an option for its port', async () => {
  const { code, stderr } = await plimsoll(['serve', '--port', '65536']);
  expect(code).toBe(1);
  expect(stderr).toContain('--port: a port is a number from 0 to 65535');
});
