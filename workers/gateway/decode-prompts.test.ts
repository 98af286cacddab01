import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { DecodeAnswer } from '#shared/protocol/decode.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { decodePrompts } from './decode-prompts.ts';
import { type PoolMember, unheard } from './pool-member.ts';

const servers: ReturnType<typeof createServer>[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A backend that tells this, or fails. */
async function member(tells: DecodeAnswer | null, asked: () => void): Promise<PoolMember> {
  const server = createServer((_request, response) => {
    asked();
    response.writeHead(tells === null ? 502 : 200).end(JSON.stringify(tells));
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
