/** The command as a user runs it, on what a real edge has answered. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { adminClient } from '#workers/control/admin-client.ts';
import { sha256 } from '#workers/local/seed-demo-tenants.ts';
import { ask, type EdgeUnderTest, OPERATOR_KEY, post, startEdgeUnderTest } from '#workers/testing/edge-under-test.ts';
import { runPlimsoll } from '../testing/run-plimsoll.ts';

const EXAMPLE = path.join(import.meta.dirname, '../../examples/receipt-offline.mjs');
/** It leaves out what the edge fills in. */
const REQUEST = { ...ask('Grüße from a ship'), max_tokens: 3, plimsoll: { trace: 'tokens' } };

let under: EdgeUnderTest;
let folder: string;
let token: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-receipt-'));
  under = await startEdgeUnderTest();
  const saved = async (name: string, answer: Promise<Response>) => {
    const text = await (await answer).text();
    await writeFile(path.join(folder, name), text);
    return JSON.parse(text);
  };
  await saved('jwks.json', fetch(`${under.edge.url}/.well-known/jwks.json`));
  const answer = await saved('answer.json', post(under.edge, '/v1/chat/completions', REQUEST));
  token = answer.plimsoll.receipt;
  const refused = ask('[[child_abuse=0.99]]');
  await saved('refusal.json', post(under.edge, '/v1/chat/completions', refused, 'pk-demo-strict'));
  await writeFile(path.join(folder, 'request.json'), JSON.stringify(REQUEST, null, 2));
  await writeFile(path.join(folder, 'other.json'), JSON.stringify(ask('Something else')));
  await writeFile(path.join(folder, 'answer.txt'), `${answer.choices[0].message.content}\n`);
});
afterAll(async () => {
  await under?.dispose();
  await rm(folder, { recursive: true, force: true });
});

const verify = (...args: string[]) => runPlimsoll(['receipt', 'verify', ...args], { cwd: folder });

test('a whole answer is genuine, and its request is told by the fields that were sent', async () => {
  const { code, stdout } = await verify('answer.json', '--jwks', 'jwks.json', '--prompt', 'request.json');
  expect(stdout.trim().split('\n')).toEqual([
    "holds        form       a backend's receipt for an answer",
    'holds        signature  by the key test-key, which is in the key set',
    expect.stringMatching(/^holds {8}content {4}request req_[0-9a-f]{32}, tenant demo-balanced, key demo, policy /),
    expect.stringMatching(/^holds {8}line {7}weights 0\.\d{3} to 0\.\d{3} over a floor of 0\.3, /),
    'holds        prompt     has the digest in the receipt',
    'holds        answer     has the digest in the receipt',
    expect.stringMatching(/^genuine, signed \d{4}-\d\d-\d\dT/),
  ]);
  expect(code).toBe(0);
});

test('a token alone is checked with the keys of the edge and with the files that are named', async () => {
  const { code, stdout } = await verify(token, '--jwks', under.edge.url, '--answer', 'answer.txt', '--json');
  expect(code).toBe(0);
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({ genuine: true, kind: 'answer', receipt: { tenant: 'demo-balanced' } });
  expect(report.checks.map(({ name, verdict }: Record<string, string>) => [name, verdict])).toContainEqual([
    'prompt',
    'not checked',
  ]);
});

test("a refusal's receipt is the edge's", async () => {
  const { code, stdout } = await verify('refusal.json', '--jwks', 'jwks.json');
  expect(stdout).toContain("holds        form       the edge's receipt for a refusal");
  expect(stdout).toContain('holds        answer     has the digest in the receipt');
  expect(code).toBe(0);
});

test('of an answer that was given again, both receipts are checked', async () => {
  const policy = { floor: 0.2, budget: null, cache: { answers: true } };
  const json = { name: 'Again', policy, keys: [{ id: 'main', sha256: sha256('pk-again') }] };
  await adminClient(under.edge.url, OPERATOR_KEY).tenants[':id'].$put({ param: { id: 'again' }, json });
  const request = { ...ask('Once more'), temperature: 0 };
  const answers = [];
  for (let i = 0; i < 2; i++) answers.push(await post(under.edge, '/v1/chat/completions', request, 'pk-again'));
  const [, again] = await Promise.all(answers.map((answer) => answer.text()));
  await writeFile(path.join(folder, 'again.json'), again!);
  await writeFile(path.join(folder, 'once.json'), JSON.stringify(request));
  const { code, stdout } = await verify('again.json', '--jwks', 'jwks.json', '--prompt', 'once.json');
  expect(stdout).toMatch(/^holds {8}form {7}the edge's receipt for an answer that was made for the request req_/m);
  expect(stdout).toMatch(/^holds {8}first {6}the receipt of the request req_[0-9a-f]{32} is genuine$/m);
  expect(stdout).not.toMatch(/not checked|fails/);
  expect(code).toBe(0);
});

test('another request is told, and the exit code is 1', async () => {
  const { code, stdout } = await verify('answer.json', '--jwks', 'jwks.json', '--prompt', 'other.json');
  expect(stdout).toMatch(/^fails {8}prompt {5}another digest/m);
  expect(stdout).toMatch(/^NOT GENUINE: prompt$/m);
  expect(code).toBe(1);
});

test.each<[string, string[], RegExp]>([
  [
    'no keys',
    ['answer.json', '--jwks', 'http://127.0.0.1:1'],
    /127\.0\.0\.1:1\/\.well-known\/jwks\.json cannot be read: /,
  ],
  ['keys that are none', ['answer.json', '--jwks', 'request.json'], /request\.json is no key set: /],
  ['no receipt', ['request.json', '--jwks', 'jwks.json'], /request\.json has no receipt: wanted /],
  ['no file', ['nowhere.json', '--jwks', 'jwks.json'], /"nowhere\.json" is no token, and cannot be read/],
])('with %s the exit code is 2', async (_what, args, message) => {
  const { code, stderr } = await verify(...args);
  expect(stderr).toMatch(message);
  expect(code).toBe(2);
});

test.each(['answer.json', 'refusal.json'])('the example of twenty lines takes the same %s', async (file) => {
  const run = (answer: string) =>
    promisify(execFile)(process.execPath, [EXAMPLE, answer, 'jwks.json'], { cwd: folder });
  expect((await run(file)).stdout).toMatch(/^genuine: demo-(balanced|strict) under policy [0-9a-f]+, request req_/);
  const forged = (await readFile(path.join(folder, file), 'utf8')).replace(/("message":"|"content":")/, '$1No. ');
  await writeFile(path.join(folder, `forged-${file}`), forged);
  await expect(run(`forged-${file}`)).rejects.toThrow('the receipt is for another text');
  expect((await readFile(EXAMPLE, 'utf8')).trimEnd().split('\n').length).toBeLessThanOrEqual(23);
});
