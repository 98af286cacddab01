/**
 * Clients that others have written, against a running stack, as their own pages show them. The
 * table in docs/clients.md is made of what comes of it:
 *
 *     npm run test:heavy -- test/heavy/clients.test.ts -u
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CLIENTS, type Client, pinnedVersion, runClient, whyMissing } from '../clients/run-clients.ts';
import { type RunningStack, startStack } from '../running-stack.ts';

const PAGE = path.join(import.meta.dirname, '../../docs/clients.md');
const MARKS = /<!-- (?:tried|end of tried) -->/;

let stack: RunningStack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(async () => {
  await stack?.stop();
});

/** By name. Of a client that cannot be had here, what the page says stays. */
const rows = new Map<string, string>();
const nameOf = ({ name, package: from }: Client) => `${name}, \`${from}\``;

test.for(CLIENTS)('$name, $package', async (client, { skip }) => {
  const missing = await whyMissing(client);
  if (missing !== undefined) {
    console.warn(`SKIPPED ${nameOf(client)}: ${missing}`);
    skip(missing);
  }
  const checked = await runClient(client, stack);
  const failed = checked.flatMap(({ what, failed: why }) => (why === undefined ? [] : [`${what}: ${why}`]));
  const cells = [nameOf(client), await pinnedVersion(client), checked.map(({ what }) => what).join(', ')];
  rows.set(nameOf(client), `| ${[...cells, failed.length === 0 ? 'works' : 'fails'].join(' | ')} |`);
  expect(failed).toEqual([]);
});

test('docs/clients.md says so (-u writes it)', async () => {
  const [before = '', table = '', after = ''] = readFileSync(PAGE, 'utf8').split(MARKS);
  const kept = table.split('\n');
  const lines = CLIENTS.flatMap((client) => {
    return rows.get(nameOf(client)) ?? kept.find((line) => line.startsWith(`| ${nameOf(client)} |`)) ?? [];
  });
  const made = ['| client | version | tried | |', '| --- | --- | --- | --- |', ...lines].join('\n');
  const page = `${before}<!-- tried -->\n\n${made}\n\n<!-- end of tried -->${after}`;
  await expect(page).toMatchFileSnapshot(PAGE);
});
