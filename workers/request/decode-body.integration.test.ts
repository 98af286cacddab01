/** Request bodies that come compressed, in workerd. */
import { deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { ask, type EdgeUnderTest, startEdgeUnderTest } from '../testing/edge-under-test.ts';

const MEGABYTE = 1024 * 1024;
let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest();
});
afterAll(() => under.dispose());

function post(encoding: string, body: Uint8Array<ArrayBuffer>, key = 'pk-demo-balanced'): Promise<Response> {
  return fetch(`${under.edge.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-encoding': encoding },
    body,
  });
}
const bytes = (body: object) => Buffer.from(JSON.stringify(body));
const errorOf = async (answer: Response) => {
  const { error } = (await answer.json()) as ErrorBody;
  return { status: answer.status, code: error.code, param: error.param, message: error.message };
};

test.each([
  ['gzip', gzipSync(bytes(ask('Hi')))],
  ['GZIP', gzipSync(bytes(ask('Hi')))],
  ['x-gzip', gzipSync(bytes(ask('Hi')))],
  ['deflate', deflateSync(bytes(ask('Hi')))],
  ['identity', bytes(ask('Hi'))],
])('a body in %s is read', async (encoding, body) => {
  const answer = await post(encoding, Uint8Array.from(body));
  expect(answer.status).toBe(200);
  expect(under.backends[0]!.seen.at(-1)!.request.messages).toEqual([{ role: 'user', content: 'Hi' }]);
});

test('one that is larger than the limit once it is decompressed is refused, however small it came', async () => {
  const bomb = gzipSync(Buffer.alloc(64 * MEGABYTE, ' '));
  expect(bomb.byteLength).toBeLessThan(MEGABYTE);
  expect(await errorOf(await post('gzip', Uint8Array.from(bomb)))).toMatchObject({
    status: 413,
    code: 'request_too_large',
    message: expect.stringContaining('once it is decompressed'),
  });
  const large = gzipSync(bytes(ask('x'.repeat(MEGABYTE))));
  expect(await errorOf(await post('gzip', Uint8Array.from(large)))).toMatchObject({ status: 413 });
});

test('a compressed body that is itself too large is refused too', async () => {
  const noise = crypto.getRandomValues(new Uint8Array(MEGABYTE + 1).subarray(0, 65_536));
  const body = Buffer.concat(Array.from({ length: 17 }, () => noise));
  expect(await errorOf(await post('gzip', Uint8Array.from(body)))).toMatchObject({ status: 413 });
});

test.each([
  ['no gzip at all', bytes(ask('Hi'))],
  ['gzip that was cut', gzipSync(bytes(ask('Hi'))).subarray(0, -6)],
  ['gzip with something after it', Buffer.concat([gzipSync(bytes(ask('Hi'))), Buffer.from('more')])],
])('%s is refused, and the error says why', async (_name, body) => {
  expect(await errorOf(await post('gzip', Uint8Array.from(body)))).toMatchObject({
    status: 400,
    code: 'invalid_request',
    param: 'Content-Encoding',
  });
});

test.each(['br', 'zstd', 'gzip, gzip', 'nonsense'])('%s is 415, with what would do', async (encoding) => {
  const answer = await post(encoding, Uint8Array.from(bytes(ask('Hi'))));
  expect(answer.headers.get('accept-encoding')).toBe('gzip, deflate');
  expect(await errorOf(answer)).toMatchObject({
    status: 415,
    code: 'unsupported_content_encoding',
    param: 'Content-Encoding',
  });
});

test('a wrong key is refused before anything is decompressed', async () => {
  expect(await errorOf(await post('br', Uint8Array.from(bytes(ask('Hi'))), 'pk-wrong'))).toMatchObject({ status: 401 });
});
