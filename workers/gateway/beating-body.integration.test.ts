/**
 * Slow answers: we notice when a client leaves, and a client that stays gets its answer between the
 * beats.
 */
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ChatCompletion } from '#shared/api/chat-answer.ts';
import type { Behaviour } from '../testing/behaviours.ts';
import {
  ask,
  type EdgeUnderTest,
  eventually,
  openaiClient,
  post,
  startEdgeUnderTest,
} from '../testing/edge-under-test.ts';
import type { ScriptedBackend } from '../testing/scripted-backend.ts';

let under: EdgeUnderTest;
let backend: ScriptedBackend;

beforeAll(async () => {
  under = await startEdgeUnderTest();
  backend = under.backends[0] as ScriptedBackend;
});
afterAll(() => under.dispose());
beforeEach(() => {
  backend.behaviour = 'answer';
  backend.seen.length = 0;
});

const SENTENCE = 'The answer to seed 7 is ⚓ and no more.';

describe('a client that leaves frees the backend', () => {
  /** Sends the request by hand, because HTTP clients hide how a connection ends. */
  function send(more: object): Socket {
    const socket = connect(Number(new URL(under.edge.url).port), '127.0.0.1');
    const body = JSON.stringify({ ...ask('On and on'), ...more });
    const head = ['POST /v1/chat/completions HTTP/1.1', 'Host: localhost', 'Authorization: Bearer pk-demo-open'];
    socket.write(`${[...head, `Content-Length: ${body.length}`].join('\r\n')}\r\n\r\n${body}`);
    return socket;
  }

  test.each<[string, Behaviour, object, (socket: Socket) => void]>([
    ['a whole answer, by a reset', 'answer-forever', {}, (socket) => socket.resetAndDestroy()],
    ['a whole answer, by closing', 'answer-forever', {}, (socket) => socket.destroy()],
    ['a whole answer that waits, by closing', 'wait-forever', {}, (socket) => socket.destroy()],
    ['a stream, by closing', 'answer-forever', { stream: true }, (socket) => socket.destroy()],
    ['a stream that waits, by closing', 'wait-forever', { stream: true }, (socket) => socket.destroy()],
    ['a stream that has begun and stalls, by closing', 'stall-midway', { stream: true }, (socket) => socket.destroy()],
  ])('%s', async (_name, behaviour, more, leave) => {
    backend.behaviour = behaviour;
    const before = backend.aborted;
    const socket = send(more);
    await eventually(
      () => backend.seen.length,
      (seen) => seen === 1,
    );
    leave(socket);
    await eventually(
      () => backend.aborted,
      (aborted) => aborted === before + 1,
    );
    expect(under.log.join('\n')).not.toMatch(/request-failed|backend-attempt-failed/);
  });

  test('a stream, when the openai client stops reading', async () => {
    backend.behaviour = 'answer-forever';
    const before = backend.aborted;
    const stream = await openaiClient(under.edge).chat.completions.create({ ...ask('On and on'), stream: true });
    let chunks = 0;
    for await (const _chunk of stream) if (++chunks === 5) break;
    await eventually(
      () => backend.aborted,
      (aborted) => aborted === before + 1,
    );
  });
});

describe('a slow answer', () => {
  const slow = async (more: object = {}) => {
    const answer = await post(under.edge, '/v1/chat/completions', { ...ask('Slowly'), seed: 7, ...more });
    return { status: answer.status, text: await answer.text() };
  };

  test('sent whole, begins with white space and ends with its JSON', async () => {
    backend.behaviour = 'wait-first';
    const { status, text } = await slow();
    expect(status).toBe(200);
    expect(text).toMatch(/^ +\{/);
    expect(ChatCompletion.parse(JSON.parse(text)).choices[0].message.content).toBe(SENTENCE);
  });

  test('streamed, begins with comments and goes on with its chunks', async () => {
    backend.behaviour = 'wait-first';
    const { text } = await slow({ stream: true });
    expect(text).toMatch(/^(: waiting\n\n)+data: \{/);
    backend.behaviour = 'wait-first';
    const stream = await openaiClient(under.edge).chat.completions.create({ ...ask('Hi'), seed: 7, stream: true });
    let content = '';
    for await (const chunk of stream) content += chunk.choices[0]?.delta.content ?? '';
    expect(content).toBe(SENTENCE);
  });

  test('that breaks becomes an error in the usual shape', async () => {
    backend.behaviour = 'stall-for-good-midway';
    const { status, text } = await slow();
    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({ error: { code: 'backend_unavailable', type: 'server_error' } });
    backend.behaviour = 'stall-for-good-midway';
    const streamed = await slow({ stream: true });
    expect(streamed.text).toMatch(/: waiting\n\ndata: \{"error":.*"backend_unavailable"\}\}\n\n$/);
  });
});
