/** `plimsoll policy` as a user sees it: each case starts a process. */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runPlimsoll } from '../testing/run-plimsoll.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-policy-'));
  for (const [file, document] of Object.entries(FILES)) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), typeof document === 'string' ? document : JSON.stringify(document));
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const plimsoll = (...args: string[]) => runPlimsoll(['policy', ...args], { cwd: folder });

const ramp = { from: 0.5, full: 0.9 };
const bakery = {
  floor: 0.5,
  budget: 8,
  refusal: 'We only talk about bread.',
  categories: { any_harm: { action: 'refuse', ramp: { from: 0.8, full: 0.97 } } },
  shadow: { privacy: { floor: 0.9, ramp } },
  tests: [{ name: 'bread', prompt: 'Do you have rye bread?', expect: { action: 'mix', quiet: ['any_harm'] } }],
};
const FILES: Record<string, object | string> = {
  'shop/tenants/bakery.json': bakery,
  'shop/plans/small.json': { limits: { max_tokens: 256 } },
  'shop/keys/till.json': {},
  'shop/policy.schema.json': {},
  'broken/floor.json': { floor: 2, flor: 1 },
  'broken/half.json': '{',
  'stricter.json': { ...bakery, floor: 0.7 },
  'looser.json': { ...bakery, budget: 9 },
  'failing.json': { ...bakery, tests: [{ name: 'bread', prompt: 'Rye?', expect: { floor_at_least: 0.9 } }] },
};

test('each command has help that says what it takes', async () => {
  const help = await plimsoll('--help');
  const commands = [...help.stdout.split('Commands:')[1]!.matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name!);
  const onFiles = ['init', 'validate', 'test', 'explain', 'diff', 'schema', 'hash'];
  expect(commands).toEqual([...onFiles, 'push', 'simulate', 'replay', 'activate', 'rollback', 'log', 'verify', 'help']);
  const helps = await Promise.all(commands.slice(0, -1).map((name) => plimsoll(name, '--help')));
  for (const { code, stdout } of helps) expect([code, stdout.includes('Options:')]).toEqual([0, true]);
});

describe('init', () => {
  test('writes a preset that is valid and passes its tests, and its schema beside it', async () => {
    const file = 'new/tenants/acme.json';
    expect(await plimsoll('init', '--preset', 'children', file)).toMatchObject({ code: 0, stderr: '' });
    const written = JSON.parse(await readFile(path.join(folder, file), 'utf8')) as { $schema: string };
    const schema = path.join(folder, path.dirname(file), written.$schema);
    expect(JSON.parse(await readFile(schema, 'utf8'))).toHaveProperty('properties.floor');
    const tested = await plimsoll('test', 'new');
    expect(tested).toMatchObject({ code: 0, stdout: expect.stringMatching(/(\d+) of \1 tests passed\n$/) });
  });
  test('replaces no file unless it is told to', async () => {
    await copyFile(path.join(folder, 'stricter.json'), path.join(folder, 'mine.json'));
    const refused = await plimsoll('init', 'mine.json');
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('mine.json: found a file there, wanted none'),
    });
    expect(await plimsoll('init', '--force', 'mine.json')).toMatchObject({ code: 0 });
  });
  test('lists the presets, and names them for one that it does not know', async () => {
    const { stdout } = await plimsoll('init', '--list');
    expect(stdout.match(/^\w+$/gm)).toEqual(['balanced', 'children', 'open', 'research', 'strict', 'support']);
    expect(stdout).toMatch(/^balanced\n {2}For a general assistant/);
    expect(await plimsoll('init', '--preset', 'lax')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('--preset: found "lax", wanted balanced, children'),
    });
  });
});

describe('validate', () => {
  test('takes a folder of policies as code, each for the level of its place', async () => {
    const { code, stdout } = await plimsoll('validate', '--json', 'shop');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(
      [
        ['shop/keys/till.json', 'key'],
        ['shop/plans/small.json', 'plan'],
        ['shop/tenants/bakery.json', 'tenant'],
      ].map(([file, level]) => ({ file, level, version: expect.stringMatching(/^[0-9a-f]{32}$/), problems: [] })),
    );
  });
  test('lists every fault with its file and key, and what was found and wanted', async () => {
    const { code, stdout, stderr } = await plimsoll('validate', 'broken', 'stricter.json');
    expect(code).toBe(1);
    expect(stderr).toContain('broken/floor.json: floor: found 2, wanted at most 1\n');
    expect(stderr).toContain('broken/floor.json: budget: found nothing, wanted a number\n');
    expect(stderr).toContain(
      'broken/floor.json: flor: found an unknown field, wanted a field of the policy language\n',
    );
    expect(stderr).toMatch(/broken\/half\.json: the document: found text that is not JSON \(.*\), wanted JSON\n/);
    expect(stdout).toMatch(/^stricter\.json is a valid policy, version [0-9a-f]{32}\n$/);
  });
  test('reads a document for the level that it is told', async () => {
    expect(await plimsoll('validate', 'shop/keys/till.json')).toMatchObject({ code: 0 });
    const asTenant = await plimsoll('validate', '--level', 'tenant', 'shop/keys/till.json');
    expect(asTenant).toMatchObject({ code: 1, stderr: expect.stringContaining('floor: found nothing') });
  });
  test('says what it wanted where there are no policies', async () => {
    await mkdir(path.join(folder, 'empty'));
    expect(await plimsoll('validate', 'empty')).toMatchObject({
      code: 1,
      stderr: 'plimsoll: empty: found no policies, wanted files that end in .json\n',
    });
  });
});

describe('test', () => {
  test('says which tests passed, under the operator’s policy', async () => {
    expect(await plimsoll('test', 'shop')).toEqual({
      code: 0,
      stderr: '',
      stdout: [
        'shop/keys/till.json: no tests',
        'shop/plans/small.json: no tests',
        'ok      shop/tenants/bakery.json: bread',
        '1 of 1 tests passed\n',
      ].join('\n'),
    });
  });
  test('exits with 1 if one fails, and says what was found and wanted', async () => {
    const { code, stdout } = await plimsoll('test', 'failing.json');
    expect(code).toBe(1);
    expect(stdout).toBe('FAILED  failing.json: bread: floor: found 0.5, wanted at least 0.9\n0 of 1 tests passed\n');
    const [report] = JSON.parse((await plimsoll('test', '--json', 'failing.json')).stdout) as unknown[];
    expect(report).toMatchObject({
      file: 'failing.json',
      results: [{ name: 'bread', passed: false, found: { floor: 0.5 } }],
    });
  });
});

describe('explain', () => {
  test('names for each bound the level and the field that set it, and the shadow rules', async () => {
    const signals = ['--signal', 'any_harm=0.9', '--signal', 'privacy=0.95'];
    const { code, stdout } = await plimsoll(
      'explain',
      'shop/tenants/bakery.json',
      ...signals,
      '--plan',
      'shop/plans/small.json',
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^effective policy [0-9a-f]{32}\nverdict {9}answer\nfired {11}any_harm 0\.9 at the edge/);
    expect(stdout).toContain('floor 0.5 by tenant\n');
    expect(stdout).toContain('limits.max_tokens 256 by plan\n');
    expect(stdout).toContain('privacy 0.95: would be mix, floor 0.9, budget 8\n');
  });
  test('takes a request’s bounds, and what a second look finds', async () => {
    const asked = ['--budget', '3', '--look', 'any_harm=0.99', '--json'];
    const { stdout } = await plimsoll('explain', 'shop/tenants/bakery.json', 'Do you have rye bread?', ...asked);
    expect(JSON.parse(stdout)).toMatchObject({
      verdict: { action: 'refuse', because: 'any_harm' },
      refusal: 'We only talk about bread.',
      fired: [{ signal: 'any_harm', look: 'backend', probability: 0.99 }],
    });
    expect(stdout).toMatch(/"bound": "budget",\s+"value": 3,\s+"rule": null,\s+"set_by": \[\s+\{\s+"level": "request"/);
  });
  test('says what is wrong with an option', async () => {
    expect(await plimsoll('explain', 'stricter.json', 'Hi', '--signal', 'harm=1')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('found "harm", wanted one of animal_abuse'),
    });
  });
});

describe('diff', () => {
  test('lists the changes and which way each goes', async () => {
    expect(await plimsoll('diff', 'stricter.json', 'looser.json')).toEqual({
      code: 0,
      stderr: '',
      // The rule for text in an unknown language begins at the policy's own floor.
      stdout:
        'LOOSER   budget: 8 -> 9\nLOOSER   categories.uncertain.floor: 0.85 -> 0.75\nLOOSER   floor: 0.7 -> 0.5\n',
    });
    expect(await plimsoll('diff', 'looser.json', 'looser.json')).toMatchObject({ code: 0, stdout: 'no change\n' });
  });
  test('with --no-looser, fails if a change loosens', async () => {
    const bakeries = ['shop/tenants/bakery.json', 'stricter.json'] as const;
    expect(await plimsoll('diff', '--no-looser', ...bakeries)).toMatchObject({ code: 0 });
    expect(await plimsoll('diff', '--no-looser', ...bakeries.toReversed())).toMatchObject({ code: 1 });
  });
});

test('schema prints the JSON Schemas and the table of the documentation', async () => {
  const [policy, part, table] = await Promise.all([
    plimsoll('schema'),
    plimsoll('schema', '--part'),
    plimsoll('schema', '--table'),
  ]);
  expect(JSON.parse(policy.stdout)).toMatchObject({ required: ['floor', 'budget'] });
  expect(JSON.parse(part.stdout)).not.toHaveProperty('required');
  expect(table.stdout).toContain('| `floor` | 0 to 1 |');
});
