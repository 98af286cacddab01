/** The command as a user runs it, on what a real edge has answered. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startScriptedEngine } from '#gpu-backend/engine/testing/scripted-engine.ts';
import { serveEngine } from '#gpu-backend/server/start-backend.ts';
import { DRAW_SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { adminClient } from '#workers/control/admin-client.ts';
import { sha256 } from '#workers/local/seed-demo-tenants.ts';
import {
  ask,
  DIRECTIVE_SECRET,
  type EdgeUnderTest,
  OPERATOR_KEY,
  post,
  startEdgeUnderTest,
} from '#workers/testing/edge-under-test.ts';
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

/** Writes what was answered into a file of the folder. */
async function saved(name: string, answer: Promise<Response>) {
  const text = await (await answer).text();
  await writeFile(path.join(folder, name), text);
  return JSON.parse(text);
}

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

test('an answer of /v1/responses is genuine, and another text in it is told', async () => {
  const answer = await post(under.edge, '/v1/responses', { model: 'scripted', input: 'Hello', max_output_tokens: 3 });
  const text = await answer.text();
  await writeFile(path.join(folder, 'response.json'), text);
  const { code, stdout } = await verify('response.json', '--jwks', 'jwks.json');
  expect(stdout).toMatch(/^holds {8}answer {5}has the digest in the receipt$/m);
  expect(code).toBe(0);
  const forged = JSON.parse(text) as { output: { content?: { text: string }[] }[] };
  for (const part of forged.output.flatMap(({ content = [] }) => content)) part.text = `No. ${part.text}`;
  await writeFile(path.join(folder, 'forged-response.json'), JSON.stringify(forged));
  expect((await verify('forged-response.json', '--jwks', 'jwks.json')).stdout).toMatch(/^NOT GENUINE: answer$/m);
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

const example = (answer: string, jwks = 'jwks.json') =>
  promisify(execFile)(process.execPath, [EXAMPLE, answer, jwks], { cwd: folder });
/** It takes the answer, and not one that begins otherwise. */
async function expectChecked(file: string, jwks?: string): Promise<void> {
  expect((await example(file, jwks)).stdout).toMatch(/^genuine: [\w-]+ under policy [0-9a-f]+, request req_/);
  const text = await readFile(path.join(folder, file), 'utf8');
  const forged = text.replace(/("message":"|"content":"|"drawn_text":")/, '$1No. ');
  expect(forged).not.toBe(text);
  await writeFile(path.join(folder, `forged-${file}`), forged);
  await expect(example(`forged-${file}`, jwks)).rejects.toThrow('the receipt is for another text');
}

test.each(['answer.json', 'refusal.json'])('the example of twenty lines takes the same %s', async (file) => {
  await expectChecked(file);
  expect((await readFile(EXAMPLE, 'utf8')).trimEnd().split('\n').length).toBeLessThanOrEqual(23);
});

test('the example takes an answer with calls of tools', async () => {
  const call = '<tool_call>\n{"name": "look", "arguments": {"at": "the sea"}}\n</tool_call>';
  under.backends[0]!.says = () => call.match(/.{1,9}/gsu) ?? [];
  const asked = { ...ask('Look'), tools: [{ type: 'function', function: { name: 'look' } }] };
  const { choices } = await saved('called.json', post(under.edge, '/v1/chat/completions', asked));
  under.backends[0]!.says = null;
  expect(choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } });
  await expectChecked('called.json');
});

test('the example takes an answer that was mixed at the edge, which the edge signs', async () => {
  const engine = await startScriptedEngine({ contextLength: 256 });
  const config = {
    ...{ host: '127.0.0.1', port: 0, backendId: 'b', graceMs: 0, bodyLimitBytes: 10_000, hostNames: null },
    ...{ directiveSecret: DIRECTIVE_SECRET, drawSecret: DRAW_SECRET },
    receiptPrivateJwk: under.receiptKey.privateJwk,
  };
  const encode = () => ({ promptIds: [1, 2, 3], rowPrompts: {} });
  const vocabulary = { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) };
  const backend = await serveEngine(engine, encode, config, { log: () => {}, vocabulary });
  const mixing = await startEdgeUnderTest({ overrides: { BACKENDS: JSON.stringify([backend.url]) } });
  try {
    const json = {
      name: 'Mixed',
      policy: { floor: 0.3, budget: 12, modes: ['logits', 'edge'] as ('logits' | 'edge')[] },
      keys: [{ id: 'main', sha256: sha256('pk-mixed') }],
    };
    await adminClient(mixing.edge.url, OPERATOR_KEY).tenants[':id'].$put({ param: { id: 'mixed' }, json });
    await saved('mixed-jwks.json', fetch(`${mixing.edge.url}/.well-known/jwks.json`));
    const asked = { ...ask('Mix'), max_tokens: 8, plimsoll: { mode: 'edge' } };
    const { plimsoll } = await saved('mixed.json', post(mixing.edge, '/v1/chat/completions', asked, 'pk-mixed'));
    expect(plimsoll).toMatchObject({ mode: 'edge', mixing: { safety: ['b'] } });
    await expectChecked('mixed.json', 'mixed-jwks.json');
  } finally {
    await mixing.dispose();
    await backend.close();
  }
});
