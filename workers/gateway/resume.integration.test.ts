/** Answers that one backend breaks off and another one continues, as the client sees them. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ChatCompletionChunk } from '#shared/api/chat-answer.ts';
import { type Receipt, verifyReceipt } from '#shared/protocol/receipt.ts';
import type { Behaviour } from '../testing/behaviours.ts';
import { ask, type EdgeUnderTest, eventually, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import type { ScriptedBackend } from '../testing/scripted-backend.ts';

let under: EdgeUnderTest;

beforeAll(async () => {
  under = await startEdgeUnderTest({ backendCount: 2, probeOf: () => ({ violence: 0.7 }) });
});
afterAll(() => under.dispose());
beforeEach(async () => {
  for (const backend of under.backends) Object.assign(backend, { behaviour: 'answer', bundle: 'b1' });
  // Waits until a backend that the previous test broke is trusted again.
  for (let prompt = 0, seen = new Set<ScriptedBackend>(); seen.size < 2; prompt++) {
    seen = new Set([...seen, await homeOf(`Prompt ${prompt}`)]);
  }
  for (const backend of under.backends) backend.seen.length = 0;
});

/** The backend that a prompt belongs to. */
async function homeOf(prompt: string): Promise<ScriptedBackend> {
  const answer = await post(under.edge, '/v1/chat/completions', ask(prompt));
  const { plimsoll } = (await answer.json()) as { plimsoll: { backend: string } };
  return under.backends.find(({ name }) => name === plimsoll.backend)!;
}

type Read = { text: string; tokens: number[]; receipt: Receipt; isDone: boolean; roles: number; ends: number };

/** Reads an answer, streamed or whole. The request asks for a trace of its tokens. */
async function read(prompt: string, { stream, ...more }: { stream: boolean; [field: string]: unknown }): Promise<Read> {
  const body = { ...ask(prompt), seed: 7, plimsoll: { trace: 'tokens' }, ...more, stream };
  const answer = await post(under.edge, '/v1/chat/completions', body);
  expect(answer.status).toBe(200);
  if (!stream) {
    const { choices, plimsoll } = (await answer.json()) as {
      choices: [{ message: { content: string } }];
      plimsoll: { tokens: { id: number }[]; receipt: string };
    };
    const receipt = await verifyReceipt(plimsoll.receipt, under.receiptKey.jwks);
    const tokens = plimsoll.tokens.map(({ id }) => id);
    return { text: choices[0].message.content, tokens, receipt, isDone: true, roles: 1, ends: 1 };
  }
  const events = (await answer.text()).split('\n\n').filter((event) => event.startsWith('data: '));
  const isDone = events.at(-1) === 'data: [DONE]';
  const chunks = events
    .slice(0, isDone ? -1 : undefined)
    .map((event) => JSON.parse(event.slice('data: '.length)) as ChatCompletionChunk);
  const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));
  return {
    text: deltas.map(({ content }) => content ?? '').join(''),
    tokens: chunks.flatMap(({ plimsoll }) => (plimsoll?.tokens ?? []).map(({ id }) => id)),
    receipt: await verifyReceipt(chunks.at(-1)!.plimsoll!.receipt!, under.receiptKey.jwks),
    isDone,
    roles: deltas.filter(({ role }) => role !== undefined).length,
    ends: chunks.filter(({ choices }) => choices[0]?.finish_reason != null).length,
  };
}

const drew = ({ parts }: Receipt) => parts.map(({ backend, from, to }) => [backend, from, to]);

const BREAKS: Behaviour[] = [
  'die-midway',
  'stall-midway',
  'bad-frame-midway',
  'cut-midway',
  'wrong-mac-midway',
  'error-midway',
];

describe.each([true, false])('an answer that its backend breaks off, streamed: %s', (stream) => {
  test.each(BREAKS)('%s: another backend goes on from the exact token', async (behaviour) => {
    const prompt = `Broken by ${behaviour} ${stream}`;
    const home = await homeOf(prompt);
    const other = under.backends.find((backend) => backend !== home)!;
    const whole = await read(prompt, { stream });
    expect(whole.receipt.parts).toEqual([]);
    for (const backend of under.backends) backend.seen.length = 0;
    home.behaviour = behaviour;
    const { receipt, ...seen } = await read(prompt, { stream });
    expect(seen).toEqual({ ...seen, text: whole.text, tokens: whole.tokens, isDone: true, roles: 1, ends: 1 });
    expect(drew(receipt)).toEqual([
      [home.name, 0, 3],
      [other.name, 3, whole.tokens.length],
    ]);
    const { directive, backend, parts: _, ...rest } = receipt;
    const { directive: __, backend: ___, parts: ____, ...before } = whole.receipt;
    expect({ ...rest, request: '' }).toEqual({ ...before, request: '' });
    // The same request, key and line, and a directive of its own.
    // On a slow machine, a second backend may have been asked beside the first.
    const isFirst = ({ directive: { id } }: ScriptedBackend['seen'][number]) => id === receipt.parts[0]!.directive;
    const first = home.seen.find(isFirst)!;
    const second = other.seen.find(({ directive: { resume } }) => resume !== null)!;
    expect([backend, directive]).toEqual([other.name, second.directive.id]);
    expect(second.request).toEqual(first.request);
    expect({ ...second.directive, id: '', resume: null }).toEqual({ ...first.directive, id: '' });
    expect(second.directive.resume).toMatchObject({ backend: home.name, position: 3, from: 0, parts: [] });
    expect(under.log.join('\n')).toContain('answer-broken-off');
  });

  test('several times, by every backend: the answer has as many parts', async () => {
    const prompt = `Broken again and again ${stream}`;
    const whole = await read(prompt, { stream });
    for (const backend of under.backends) backend.behaviour = 'die-midway';
    const { text, tokens, receipt } = await read(prompt, { stream });
    expect([text, tokens]).toEqual([whole.text, whole.tokens]);
    expect(receipt.parts.map(({ from, to }) => [from, to])).toEqual([
      [0, 3],
      [3, 6],
      [6, 9],
      [9, 12],
      [12, 13],
    ]);
    expect(receipt.spent).toBe(receipt.parts.at(-1)!.spent);
  });

  test('inside a character, and inside a stop string that never comes', async () => {
    const prompt = `Cut ${stream}`;
    // Held back after three tokens: " to".
    for (const stop of [[' to seed 8'], ['answer to nobody', ' seed']]) {
      const whole = await read(prompt, { stream, stop });
      const home = await homeOf(prompt);
      home.behaviour = 'die-midway';
      const broken = await read(prompt, { stream, stop });
      expect([broken.text, broken.tokens]).toEqual([whole.text, whole.tokens]);
      expect(broken.receipt.finish_reason).toBe(whole.receipt.finish_reason);
      home.behaviour = 'answer';
    }
  });

  test('before its first token: it begins anew, and has one part', async () => {
    const prompt = `Nothing yet ${stream}`;
    const home = await homeOf(prompt);
    home.behaviour = 'die-after-start';
    const { receipt, text } = await read(prompt, { stream });
    expect(text).toContain('The answer to seed 7');
    expect(receipt.parts).toEqual([]);
    expect(receipt.backend).not.toBe(home.name);
  });

  test('after its last token: another backend signs, and draws nothing', async () => {
    const prompt = `Without an end ${stream}`;
    const home = await homeOf(prompt);
    const other = under.backends.find((backend) => backend !== home)!;
    home.behaviour = 'end-without-receipt';
    const { receipt, tokens, text } = await read(prompt, { stream });
    expect(text).toMatch(/no more\.$/);
    expect(drew(receipt)).toEqual([
      [home.name, 0, tokens.length],
      [other.name, tokens.length, tokens.length],
    ]);
  });
});

/** The events of a stream that is expected to end with an error. */
async function brokenStream(prompt: string): Promise<string> {
  const answer = await post(under.edge, '/v1/chat/completions', { ...ask(prompt), stream: true });
  expect(answer.status).toBe(200);
  const text = await answer.text();
  expect(text).not.toMatch(/\[DONE\]|"finish_reason":"|"receipt"/);
  expect(JSON.parse(text.trimEnd().split('\n\n').at(-1)!.slice('data: '.length))).toMatchObject({
    error: { code: 'backend_unavailable' },
  });
  return text;
}

test('a backend with other weights does not go on, and the stream ends with an error', async () => {
  const prompt = 'Other weights';
  const home = await homeOf(prompt);
  const other = under.backends.find((backend) => backend !== home)!;
  home.behaviour = 'die-for-good-midway';
  other.bundle = 'b2';
  await brokenStream(prompt);
  expect(other.seen.every(({ directive: { resume } }) => resume?.bundle === 'b1')).toBe(true);
});

test('without any backend left, the stream ends with an error', async () => {
  for (const backend of under.backends) backend.behaviour = 'die-for-good-midway';
  expect(await brokenStream('The last one')).toContain('answer to');
});

describe('a client that leaves', () => {
  test('ends the part that another backend draws', async () => {
    const prompt = 'Forever';
    const home = await homeOf(prompt);
    const other = under.backends.find((backend) => backend !== home)!;
    home.behaviour = 'die-midway';
    other.behaviour = 'answer-forever';
    const before = other.aborted;
    const answer = await post(under.edge, '/v1/chat/completions', { ...ask(prompt), stream: true });
    const reader = answer.body!.getReader();
    let text = '';
    while (!text.includes(' no')) text += new TextDecoder().decode((await reader.read()).value);
    await reader.cancel();
    await eventually(
      () => other.aborted,
      (now) => now === before + 1,
    );
  });

  test('ends the search for another backend', async () => {
    for (const backend of under.backends) backend.behaviour = 'die-for-good-midway';
    const answer = await post(under.edge, '/v1/chat/completions', { ...ask('Gone'), stream: true });
    const reader = answer.body!.getReader();
    await reader.read();
    await reader.cancel();
    const asked = () => under.backends.reduce((sum, { seen }) => sum + seen.length, 0);
    // Two beats later, the edge knows. Whatever was asked until then, nothing more is.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const known = asked();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(asked()).toBe(known);
    expect(under.log.filter((line) => line.includes('request-failed') && line.includes('Gone'))).toEqual([]);
  });
});

test('what a second look has tightened stays tight, and is not looked at again', async () => {
  const prompt = 'Looked at once';
  const home = await homeOf(prompt);
  const other = under.backends.find((backend) => backend !== home)!;
  const whole = await read(prompt, { stream: true });
  home.behaviour = 'die-midway';
  // It would find something else.
  const probe = other.probe;
  other.probe = { violence: 0.1 };
  const { receipt } = await read(prompt, { stream: true });
  other.probe = probe;
  expect(whole.receipt.second_look).toMatchObject({ tightened: true });
  expect(receipt.second_look).toEqual(whole.receipt.second_look);
  expect(receipt.line).toEqual(whole.receipt.line);
});
