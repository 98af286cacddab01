/** Servers that answer as no hub does. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { Hub } from './hub.ts';

async function hubOf(answer: RequestListener): Promise<Hub> {
  const server = createServer(answer);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  // A server on a port has an AddressInfo.
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return new Hub({
    sleep: async () => {},
    random: () => 1,
    note: () => {},
    endpoint,
    token: null,
    kind: 'model',
    fetch,
  });
}
const COMMIT = '1'.repeat(40);

test('an answer without end is not kept', async () => {
  const chunk = Buffer.alloc(2 ** 20, '[');
  const hub = await hubOf((_, response) => {
    const more = () => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', more);
    more();
  });
  await expect(hub.commitOf('a/b', 'main')).rejects.toThrow(
    /\/api\/models\/a\/b\/revision\/main: not what a hub answers: found more than 16777216 bytes$/,
  );
});

test('a list of files that goes in a circle ends', async () => {
  let asked = 0;
  const hub = await hubOf((request, response) => {
    asked++;
    response.setHeader('link', `<http://${request.headers.host}/api/models/a/b/tree/${COMMIT}?page=2>; rel="next"`);
    response.end('[]');
  });
  await expect(hub.filesOf('a/b', COMMIT)).rejects.toThrow('not what a hub answers: found page 3 of a list of files');
  expect(asked).toBe(2);
});

test('a list of files that never ends ends', async () => {
  let asked = 0;
  const hub = await hubOf((request, response) => {
    response.setHeader('link', `<http://${request.headers.host}/more?page=${++asked}>; rel="next"`);
    response.end('[]');
  });
  await expect(hub.filesOf('a/b', COMMIT)).rejects.toThrow('found page 1001 of a list of files, wanted its end');
});

test.each([
  ['a page to log in', '<!DOCTYPE html><title>Log in</title>'],
  ['nothing', ''],
  ['another object', '{"sha": 7}'],
])('%s is no answer of a hub', async (_, body) => {
  const hub = await hubOf((_, response) => response.end(body));
  await expect(hub.commitOf('a/b', 'main')).rejects.toThrow('not what a hub answers');
});

test('a redirect to a file of this machine is not followed', async () => {
  const hub = await hubOf((_, response) => response.writeHead(302, { location: 'file:///etc/hostname' }).end());
  await expect(hub.commitOf('a/b', 'main')).rejects.toThrow('file:///etc/hostname');
});
