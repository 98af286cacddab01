import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { type ErrorCode, PlimsollError } from '#shared/api/errors.ts';
import type { DecodeAnswer } from '#shared/protocol/decode.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { createTracing } from '#shared/trace/tracing.ts';
import { decodePrompts } from './decode-prompts.ts';
import { type PoolMember, unheard } from './pool-member.ts';

const untraced = createTracing({
  service: 'test',
  otlp: { endpoint: null, headers: {}, ratio: 1 },
  fetch: () => Promise.reject(new Error('nothing is sent')),
  onFailure: () => undefined,
});
const servers: ReturnType<typeof createServer>[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A backend that tells this, refuses so, fails, or sends this text. */
async function member(tells: DecodeAnswer | PlimsollError | string | null, asked: () => void): Promise<PoolMember> {
  const server = createServer((_request, response) => {
    asked();
    if (tells instanceof PlimsollError) response.writeHead(tells.status, { 'retry-after': '7' });
    else response.writeHead(tells === null ? 502 : 200);
    response.end(
      typeof tells === 'string' ? tells : JSON.stringify(tells instanceof PlimsollError ? tells.toBody() : tells),
    );
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { ...unheard(url), alive: true, model: 'm', contextLength: 64, modes: ['logits'], serves: ['safety'] };
}

const decode = (members: PoolMember[]) =>
  decodePrompts(
    { model: 'm', prompts: [[1, 2]] },
    {
      ...{ members, directiveKey: directiveKey('s'.repeat(32)) },
      trace: untraced.begin('test', { header: () => undefined }),
      ...{ request: 'req_1', tenant: 'demo', client: new AbortController().signal },
    },
  );

test('asks three backends at the most', async () => {
  let asked = 0;
  const broken = Array.from({ length: 5 }, () => member(null, () => asked++));
  await expect(decode(await Promise.all(broken))).rejects.toMatchObject({ code: 'backend_unavailable' });
  expect(asked).toBe(3);
});

test('says of which bundle the text is', async () => {
  const tells = { model: 'm', bundle: 'b2', texts: ['Hi'] };
  const members = [await member(null, () => undefined), await member(tells, () => undefined)];
  expect(await decode(members)).toEqual({ texts: ['Hi'], bundle: 'b2' });
});

test.each(['overloaded', 'internal_error', 'model_not_found', 'unknown_url'] as const)(
  'what one refuses as %s, another may tell',
  async (code) => {
    const tells = { model: 'm', bundle: 'b2', texts: ['Hi'] };
    const members = [
      await member(new PlimsollError(code, 'no'), () => undefined),
      await member(tells, () => undefined),
    ];
    expect(await decode(members)).toEqual({ texts: ['Hi'], bundle: 'b2' });
  },
);

test('what is wrong with the request is wrong everywhere, and who is overloaded says when to come again', async () => {
  let asked = 0;
  const all = (code: ErrorCode) =>
    Promise.all([1, 2].map(() => member(new PlimsollError(code, 'no', { param: 'prompt' }), () => asked++)));
  await expect(decode(await all('invalid_value'))).rejects.toMatchObject({ code: 'invalid_value', param: 'prompt' });
  expect(asked).toBe(1);
  await expect(decode(await all('overloaded'))).rejects.toMatchObject({ code: 'overloaded', retryAfterSeconds: 7 });
  expect(asked).toBe(3);
});

test('no word of an answer that is broken is in the error or its causes, because they go to the log', async () => {
  const error = await decode([await member('a secret prompt"]}', () => undefined)]).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'backend_unavailable', cause: { message: expect.stringMatching(/^no JSON/) } });
  expect(inspect(error, { depth: 10 })).not.toMatch(/secret/);
});
