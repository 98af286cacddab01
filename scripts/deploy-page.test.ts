/** Whoever deploys follows one page, so what a deployment needs has to be on it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'smol-toml';
import { expect, test } from 'vitest';
import * as z from 'zod';

const read = (file: string) => readFileSync(path.join(import.meta.dirname, '..', file), 'utf8');
const PAGE = read('docs/deploy.md');

const Wrangler = z.object({
  queues: z.object({
    producers: z.array(z.object({ queue: z.string() })),
    consumers: z.array(z.object({ queue: z.string() })),
  }),
});

test('it makes every queue before the Worker is deployed, because wrangler makes none', () => {
  const { producers, consumers } = Wrangler.parse(parse(read('wrangler.toml'))).queues;
  const queues = new Set([...producers, ...consumers].map(({ queue }) => queue));
  expect(queues.size).toBeGreaterThan(0);
  for (const queue of queues) {
    const at = PAGE.indexOf(`npx wrangler queues create ${queue}\n`);
    expect(at, `a command that makes ${queue}`).toBeGreaterThan(0);
    expect(at).toBeLessThan(PAGE.indexOf('**Deploy**'));
  }
});

/** Only a local stack has any. */
const LOCAL = ['DEMO_KEYS'];

test('it names every setting of the edge', () => {
  const files = ['workers/request/env.ts', 'workers/account/send-alert.ts'];
  const names = files.flatMap((file) =>
    [...read(file).matchAll(/\b([A-Z][A-Z0-9_]+)\?: string\b/g)].map(([, name]) => name!),
  );
  expect(names).toContain('POOL_REGISTRATION');
  expect(names.filter((name) => !PAGE.includes(`\`${name}\``) && !LOCAL.includes(name))).toEqual([]);
});
