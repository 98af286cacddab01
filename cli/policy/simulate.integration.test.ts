/** `plimsoll policy simulate` against the Worker in workerd: compared, stopped, and gone on. */
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Compared } from '#policies/simulation/outcome.ts';
import { sha256 } from '#workers/local/seed-demo-tenants.ts';
import {
  ask,
  type EdgeUnderTest,
  eventually,
  OPERATOR_KEY,
  post,
  startEdgeUnderTest,
} from '#workers/testing/edge-under-test.ts';
import { ended, runPlimsoll, startPlimsoll } from '../testing/run-plimsoll.ts';

let under: EdgeUnderTest;
let folder: string;
let strict: string;
beforeAll(async () => {
  under = await startEdgeUnderTest({ seed: false, scoresOf: () => ({ reward: 1.5, cost: -2 }) });
  folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-simulate-'));
  const put = (route: string, body: object) => post(under.edge, `/admin/v1/tenants${route}`, body, OPERATOR_KEY);
  expect((await put('', { id: 'shop', name: 'Shop', policy: { floor: 0.2, budget: null } })).status).toBe(201);
  const ramp = { from: 0.5, full: 0.9 };
  const policy = { floor: 0.8, budget: 40, trace: 'none', categories: { hate: { action: 'refuse', ramp } } };
  strict = ((await (await put('/shop/policies', { policy })).json()) as { version: string }).version;
  const prompts = ['How are you?', '[[hate=0.95]]', 'And the weather?', 'Bye'];
  await writeFile(path.join(folder, 'prompts.jsonl'), prompts.map((prompt) => JSON.stringify({ prompt })).join('\n'));
});
afterAll(async () => {
  await under.dispose();
  await rm(folder, { recursive: true, force: true });
});

const withoutPrompts = (...more: string[]) => [
  ...['policy', 'simulate', 'active', strict, '--tenant', 'shop', '--model', 'scripted', '--url', under.edge.url],
  ...more,
];
const args = (...more: string[]) => withoutPrompts('--prompts', 'prompts.jsonl', ...more);
const options = () => ({ cwd: folder, env: { PLIMSOLL_OPERATOR_KEY: OPERATOR_KEY } });
const simulate = (...more: string[]) => runPlimsoll(args(...more), options());
const linesOf = async (file: string) => (await readFile(path.join(folder, file), 'utf8')).trimEnd().split('\n');
const resultsIn = async (file: string) => (await linesOf(file)).slice(1).map((line) => JSON.parse(line) as Compared);

test('answers every prompt under both versions, and sums up what differs', async () => {
  const { code, stdout } = await simulate('--out', 'whole.jsonl', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout.slice(stdout.indexOf('{\n')))).toMatchObject({
    after: { answered: 3, refused: 1, failed: 0 },
    before: { answered: 4, refused: 0, weight: expect.any(Number), reward: 1.5, cost: -2 },
    prompts: 4,
    refusedOnlyAfter: [1],
    refusedOnlyBefore: [],
  });
  const results = await resultsIn('whole.jsonl');
  expect(results.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
  expect(results[0]).toMatchObject({
    before: { kind: 'answered', floor: 0.2, budget: null, tokens: expect.any(Number) },
    // The policy tells clients nothing, and the receipt tells it all.
    after: {
      kind: 'answered',
      floor: 0.8,
      budget: 40,
      weights: { min: expect.any(Number) },
      scores: { reward: 1.5, cost: -2, bundle: 'b1' },
    },
  });
  expect(results[0]!.after.weights!.min).toBeGreaterThanOrEqual(0.8);
  expect(results[1]!.after).toMatchObject({ kind: 'refused', tokens: 0, text: expect.stringMatching(/refused/) });

  // What a killed run leaves: fewer lines, the last one torn.
  const lines = await linesOf('whole.jsonl');
  await writeFile(path.join(folder, 'torn.jsonl'), `${lines.slice(0, 3).join('\n')}\n${lines[3]!.slice(0, 50)}`);
  const asked = under.backends[0]!.seen.length;
  const again = await simulate('--out', 'torn.jsonl');
  expect(again.stdout).toMatch(/4 prompts +before +after\nanswered +4 +3\nrefused +0 +1\n/);
  expect(under.backends[0]!.seen.length - asked).toBe(4);
  const withoutReceipts = (all: Compared[]) =>
    all.map(({ index, before, after }) => [index, before.text, after.text, before.spent, after.spent]);
  expect(withoutReceipts(await resultsIn('torn.jsonl'))).toEqual(withoutReceipts(results));

  const other = await simulate('--out', 'torn.jsonl', '--seed', '2');
  expect(other).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/torn.jsonl: seed: found .* 1, wanted 2; name/),
  });
});

test('one answer that cannot be scored, and one prompt that fails, are recorded with the reason, and counted', async () => {
  const prompts = ['How are you?', '[[unscorable]] Hi', 'word '.repeat(80), 'Bye'];
  await writeFile(path.join(folder, 'odd.jsonl'), prompts.map((prompt) => JSON.stringify({ prompt })).join('\n'));
  const run = (...more: string[]) => simulate('--prompts', 'odd.jsonl', '--out', 'odd-results.jsonl', ...more);
  const first = await run();
  expect(first.code).toBe(1);
  expect(first.stderr).toMatch(/1 of 4 prompts failed, and 1 could not be scored; odd-results.jsonl has the reasons/);
  const lines = await linesOf('odd-results.jsonl');
  const results = await resultsIn('odd-results.jsonl');
  expect(results.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
  expect(results[1]!.after).toMatchObject({
    kind: 'answered',
    scores: null,
    unscored: expect.stringMatching(/context_length_exceeded: The conversation is too long/),
  });
  expect(results[2]!.after).toMatchObject({ kind: 'failed', text: expect.stringMatching(/context_length_exceeded/) });
  expect(results[3]!.after.scores).toEqual({ reward: 1.5, cost: -2, bundle: 'b1' });

  // Again: only what is missing is asked for, and no line that was there is lost.
  const asked = under.backends[0]!.seen.length;
  expect((await run()).code).toBe(1);
  expect((await linesOf('odd-results.jsonl')).slice(0, lines.length)).toEqual(lines);
  expect((await resultsIn('odd-results.jsonl')).map(({ index }) => index)).toEqual([0, 1, 2, 3, 1, 2]);
  expect(under.backends[0]!.seen.slice(asked).every(({ request }) => request.messages[0]!.content.length > 80)).toBe(
    true,
  );
});

test('a run goes on only under the heads that it began with', async () => {
  await simulate('--out', 'judged.jsonl');
  const lines = await linesOf('judged.jsonl');
  const text = `${lines.slice(0, 3).join('\n')}\n`;
  await writeFile(path.join(folder, 'judged.jsonl'), text.replaceAll('"bundle":"b1"', '"bundle":"b0"'));
  const other = await simulate('--out', 'judged.jsonl');
  expect(other).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/judged.jsonl: its scores are by the heads of the bundle b0, and now .* bundle b1/),
  });
  expect(await linesOf('judged.jsonl')).toHaveLength(3);
});

test('Ctrl-C stops it with what is done in the file, and the same command goes on', async () => {
  under.backends[0]!.behaviour = 'answer-slowly';
  const child = startPlimsoll(args('--out', 'stopped.jsonl', '--no-scores'), options());
  const file = path.join(folder, 'stopped.jsonl');
  let lines = 0;
  const poll = setInterval(() => {
    void readFile(file, 'utf8').then(
      (text) => (lines = text.split('\n').length - 1),
      () => undefined,
    );
  }, 20);
  await eventually(
    () => lines,
    (count) => count >= 2,
    60_000,
  );
  clearInterval(poll);
  child.kill('SIGINT');
  const stopped = await ended(child);
  under.backends[0]!.behaviour = 'answer';
  expect(stopped).toMatchObject({
    code: 130,
    stderr: expect.stringMatching(/stopped; stopped.jsonl has what is done/),
  });
  const done = await resultsIn('stopped.jsonl');
  expect(done.length).toBeLessThan(4);
  expect((await simulate('--out', 'stopped.jsonl', '--no-scores')).code).toBe(0);
  expect((await resultsIn('stopped.jsonl')).slice(0, done.length)).toEqual(done);
  expect(await resultsIn('stopped.jsonl')).toHaveLength(4);
});

test('says what it cannot do before it asks anybody', async () => {
  const { stderr } = await simulate('--recent', '10');
  expect(stderr).toMatch(/--prompts and --recent: give one of the two/);
  const neither = await runPlimsoll(withoutPrompts(), options());
  expect(neither.stderr).toMatch(/--prompts is missing.* or --recent N/);
  await writeFile(path.join(folder, 'wrong.jsonl'), '{"prompt": "Hi"}\n{"text": "Hi"}\n');
  const wrong = await simulate('--prompts', 'wrong.jsonl', '--out', 'never.jsonl');
  expect(wrong.stderr).toMatch(/wrong.jsonl:2: found \{"text": "Hi"\}, wanted \{"prompt": TEXT\}/);
});

test('takes what clients have asked of late, where the tenant lets the edge keep it', async () => {
  const recent = (...more: string[]) =>
    runPlimsoll(withoutPrompts('--recent', '2', '--out', 'recent.jsonl', '--no-scores', '--json', ...more), options());
  expect(await recent()).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/refuses \(conflict, retention\): .*"traffic": true/),
  });

  const operator = { authorization: `Bearer ${OPERATOR_KEY}` };
  const policy = { floor: 0.2, budget: null, retention: { traffic: true, share: 1 } };
  const body = JSON.stringify({ name: 'Shop', policy, keys: [{ id: 'web', sha256: sha256('pk-shop') }] });
  const shop = `${under.edge.url}/admin/v1/tenants/shop`;
  expect((await fetch(shop, { method: 'PUT', headers: operator, body })).status).toBe(200);
  expect(await recent()).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/--recent: no prompt of shop is kept yet; its policy keeps .*"retention.share"/),
  });

  const latest = async (): Promise<string> => (await fetch(`${shop}/samples?limit=1`, { headers: operator })).text();
  for (const content of ['An old one', '[[hate=0.95]]', 'Thank you']) {
    expect((await post(under.edge, '/v1/chat/completions', ask(content), 'pk-shop')).status).toBe(200);
    while (!(await latest()).includes(content)) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const files = ['recent.jsonl', 'recent.recent-2.jsonl'].map((file) => path.join(folder, file));
  const modes = () => Promise.all(files.map(async (file) => (await stat(file)).mode & 0o777));
  const widen = () => Promise.all(files.map((file) => chmod(file, 0o644)));
  const { code, stdout } = await recent();
  expect([code, await modes()]).toEqual([0, [0o600, 0o600]]);
  const sums = { prompts: 2, before: { answered: 2 }, after: { answered: 1, refused: 1 }, refusedOnlyAfter: [1] };
  expect(JSON.parse(stdout.slice(stdout.indexOf('{\n')))).toMatchObject(sums);

  // It goes on with the same prompts, whatever has come since.
  await post(under.edge, '/v1/chat/completions', ask('A new one'), 'pk-shop');
  while (!(await latest()).includes('A new one')) await new Promise((resolve) => setTimeout(resolve, 20));
  await writeFile(path.join(folder, 'recent.jsonl'), `${(await linesOf('recent.jsonl')).slice(0, 2).join('\n')}\n`);
  await widen();
  const again = await recent();
  expect(await modes()).toEqual([0o600, 0o600]);
  await widen();
  expect(JSON.parse(again.stdout.slice(again.stdout.indexOf('{\n')))).toMatchObject(sums);
  const anew = await recent('--force');
  expect(JSON.parse(anew.stdout.slice(anew.stdout.indexOf('{\n')))).toMatchObject({ refusedOnlyAfter: [] });
  expect(await modes()).toEqual([0o600, 0o600]);
  expect((await linesOf('recent.recent-2.jsonl')).map((line) => JSON.parse(line))).toMatchObject([
    { messages: [{ content: 'A new one' }] },
    { messages: [{ content: 'Thank you' }] },
  ]);
});

test('takes conversations with calls of tools as clients have sent them', async () => {
  const operator = { authorization: `Bearer ${OPERATOR_KEY}` };
  const agent = `${under.edge.url}/admin/v1/tenants/agent`;
  const lenient = { floor: 0.2, budget: null, retention: { traffic: true, share: 1 } };
  const body = JSON.stringify({ name: 'Agent', policy: lenient, keys: [{ id: 'web', sha256: sha256('pk-agent') }] });
  expect((await fetch(agent, { method: 'PUT', headers: operator, body })).status).toBe(200);
  const policy = {
    floor: 0.2,
    budget: null,
    categories: { hate: { action: 'refuse', ramp: { from: 0.5, full: 0.9 } } },
  };
  const drafted = await post(under.edge, '/admin/v1/tenants/agent/policies', { policy }, OPERATOR_KEY);
  const { version } = (await drafted.json()) as { version: string };

  const call = { name: 'write', arguments: '{"text":"[[hate=0.95]]"}' };
  const messages = [
    ...ask('Hi').messages,
    { role: 'assistant', content: null, tool_calls: [{ id: 'mine', type: 'function', function: call }] },
    { role: 'tool', tool_call_id: 'mine', content: 'done' },
    ...ask('Go on').messages,
  ];
  const latest = async () => (await fetch(`${agent}/samples`, { headers: operator })).text();
  for (const asked of [ask('Plain'), { ...ask(''), messages }]) {
    const content = asked.messages.at(-1)!.content!;
    expect((await post(under.edge, '/v1/chat/completions', asked, 'pk-agent')).status).toBe(200);
    while (!(await latest()).includes(content)) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { code, stdout, stderr } = await runPlimsoll(
    [
      ...['policy', 'simulate', 'active', version, '--tenant', 'agent', '--model', 'scripted', '--url', under.edge.url],
      ...['--recent', '2', '--out', 'agent.jsonl', '--json'],
    ],
    options(),
  );
  expect([code, stderr]).toMatchObject([0, expect.any(String)]);
  expect(JSON.parse(stdout.slice(stdout.indexOf('{\n')))).toMatchObject({
    before: { answered: 2, failed: 0, reward: 1.5 },
    after: { answered: 1, refused: 1 },
    // The newest comes first, and what was called is what is refused.
    refusedOnlyAfter: [0],
  });
  const [kept] = (await linesOf('agent.recent-2.jsonl')).map((line) => JSON.parse(line) as { messages: object[] });
  expect(kept!.messages.slice(1, 3)).toEqual([
    { role: 'assistant', content: '', tool_calls: [{ id: 'call00000', type: 'function', function: call }] },
    { role: 'tool', content: 'done', tool_call_id: 'call00000' },
  ]);
});
