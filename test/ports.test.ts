/**
 * A web page in a browser on this machine can send requests to this machine's ports. None of our
 * ports may let such a page do anything.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { descendantsOf } from './process-tree.ts';
import { type RunningStack, startStack } from './running-stack.ts';

/** null if the connection was cut without an answer. */
type Answer = { status: number; body: string } | null;

type Sent = { method?: string; headers?: Record<string, string>; body?: string };

/** Sends a request without fetch, because fetch does not let us set the Host header. */
function send(port: number, url: string, { method = 'GET', headers = {}, body = '' }: Sent = {}): Promise<Answer> {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, path: url, method, headers, agent: false }, async (answer) => {
      const chunks: Buffer[] = await Array.fromAsync(answer);
      resolve({ status: answer.statusCode!, body: Buffer.concat(chunks).toString() });
    });
    sent.on('error', () => resolve(null));
    sent.end(body);
  });
}

/** Finds every TCP port that a process of the stack listens on, in /proc. */
function portsOf(pid: number): number[] {
  const inodes = new Set<string>();
  for (const process of [pid, ...descendantsOf(pid).map((child) => child.pid)]) {
    for (const fd of readdirSync(`/proc/${process}/fd`)) {
      try {
        const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${process}/fd/${fd}`)) ?? [];
        if (inode !== undefined) inodes.add(inode);
      } catch {
        // It was closed in the meantime.
      }
    }
  }
  const ports = ['tcp', 'tcp6'].flatMap((table) => {
    const [, ...lines] = readFileSync(`/proc/net/${table}`, 'utf8').trim().split('\n');
    return lines.flatMap((line) => {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
      return state === '0A' && inodes.has(inode) ? [Number.parseInt(local.split(':').at(-1)!, 16)] : [];
    });
  });
  return [...new Set(ports)];
}

const FOREIGN = { host: 'evil.example', origin: 'http://evil.example' };
const OPERATOR = { authorization: 'Bearer pk-demo-operator' };

describe.skipIf(!existsSync('/proc/net/tcp'))('the ports of a running stack', () => {
  let tmp: string;
  let stack: RunningStack;
  let ports: number[];
  beforeAll(async () => {
    tmp = await mkdtemp(path.join(tmpdir(), 'plimsoll-ports-'));
    stack = await startStack({ env: { TMPDIR: tmp, PLIMSOLL_NAMES: 'Plimsoll.test' } });
    ports = portsOf(stack.process.pid!);
  });
  afterAll(async () => {
    await stack?.stop();
    await rm(tmp, { recursive: true, force: true });
  });

  test('include the ports of the edge and the backend', () => {
    const known = [stack.url, ...stack.backends().map(({ url }) => url)].map((url) => Number(new URL(url).port));
    expect(ports).toEqual(expect.arrayContaining(known));
  });

  test.each([
    ['by a page of another site', FOREIGN],
    ['by a page that knows the address', { origin: 'http://evil.example' }],
    ['by any other program on this machine', {}],
  ])('write no file for a request sent %s', async (_name, headers: Record<string, string>) => {
    await writeFile(path.join(tmp, 'victim.bashrc'), 'mine');
    const before = await readdir(tmp);
    for (const port of ports) {
      const answers = [
        await send(port, '/core/store-temp-file?extension=x/../../../victim.bashrc', {
          method: 'POST',
          headers,
          body: 'x',
        }),
        await send(port, '/core/store-temp-file?prefix=../../new', { method: 'POST', headers, body: 'x' }),
        await send(port, '/core/log', { method: 'POST', headers: { ...headers, 'mf-log-level': '3' }, body: 'x' }),
        await send(port, '/core/dev-registry', { headers }),
        await send(port, '/x', { headers: { ...headers, 'mf-original-url': 'http://x/core/public-url' } }),
      ];
      for (const answer of answers) expect(answer?.status ?? 400, `port ${port}`).toBeGreaterThanOrEqual(400);
      // The edge serves its own page at /. Nothing else may answer there.
      const root = await send(port, '/', { headers: { ...headers, 'mf-original-url': 'http://x/core/public-url' } });
      if (root?.status === 200) expect(JSON.parse(root.body)).toMatchObject({ name: 'plimsoll' });
      else expect(root?.status ?? 400, `port ${port}`).toBeGreaterThanOrEqual(400);
    }
    expect(readFileSync(path.join(tmp, 'victim.bashrc'), 'utf8')).toBe('mine');
    expect(await readdir(tmp)).toEqual(before);
  });

  test.each([
    ['a foreign name', FOREIGN],
    ['a foreign name that begins like ours', { host: '127.0.0.1.evil.example' }],
    [
      'a foreign name, with our URL in another header',
      { host: 'evil.example', 'mf-original-url': 'http://127.0.0.1/' },
    ],
    ['an invalid name', { host: '127.0.0.1@evil.example' }],
  ])('serve nothing to %s', async (_name, headers) => {
    for (const port of ports) {
      for (const url of [
        '/',
        '/healthz',
        '/metrics',
        '/.well-known/jwks.json',
        '/v1/models',
        '/admin/v1/tenants',
        '/cdn-cgi/x',
      ]) {
        const answer = await send(port, url, { headers: { ...OPERATOR, ...headers } });
        expect(answer?.status ?? 400, `${url} at port ${port}`).toBeGreaterThanOrEqual(400);
      }
    }
  });

  test('answer to their own names with any port, as through a tunnel, and to a name that was added', async () => {
    const edge = Number(new URL(stack.url).port);
    for (const host of ['127.0.0.1', `localhost:${edge}`, 'LOCALHOST:1', `[::1]:${edge}`, 'plimsoll.test']) {
      expect(await send(edge, '/healthz', { headers: { host } }), host).toMatchObject({ status: 200 });
    }
    const refused = await send(edge, '/admin/v1/tenants', { headers: { ...OPERATOR, ...FOREIGN } });
    expect(refused?.status).toBe(403);
    expect(JSON.parse(refused!.body).error).toMatchObject({ code: 'permission_denied' });
    expect(refused!.body).toContain('127.0.0.1, localhost, [::1], plimsoll.test');
  });
});
