/** A whole backend, from its folder on, whose bundle has a probe. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import { SignalRules } from '#shared/line/rules.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { lineAfterLook } from '#shared/protocol/second-look.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { loadBundle } from '../model/load-bundle.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { type Backend, startBackend } from './start-backend.ts';
import { allFrames, call, DRAW_SECRET, generateRequest, receiptKeys, SECRET } from './testing/backend-client.ts';
import { endOf, errorOf, textOf } from './testing/scripted-backends.ts';

let root: string;
let keys: Awaited<ReturnType<typeof receiptKeys>>;
const backends: Backend[] = [];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'second-look-backend-'));
  keys = await receiptKeys();
});
afterAll(async () => {
  await Promise.all(backends.map((backend) => backend.close()));
  await rm(root, { recursive: true });
});

async function serve(name: string, parts: Parameters<typeof tinyBundle>[0]) {
  const bundle = join(root, name);
  await writeBundle(bundle, tinyBundle(parts), { dtype: 'f32' });
  const secrets = { directiveSecret: SECRET, drawSecret: DRAW_SECRET, receiptPrivateJwk: keys.receiptPrivateJwk };
  const backend = await startBackend({ bundle, port: 0, threads: 1, ...secrets }, { log: () => {} });
  backends.push(backend);
  return { url: backend.url, bundle };
}

const body = generateRequest({ model: 'tiny', messages: [{ role: 'user', content: 'the tin in there' }] });
/** A ramp that any probability above 0 climbs, so that it matters what the probe says. */
const rules = SignalRules.parse({ any_harm: { floor: 0.9, budget: 2, ramp: { from: 0, full: 1 } } });
const second_look = { base: 0, rules };

test('looks at the prompt, holds the tightened line, and signs both', async () => {
  const { url, bundle } = await serve('probed', { probeWindow: 8 });
  const { probe } = await loadBundle(bundle);
  expect(await (await fetch(`${url}/healthz`)).json()).toMatchObject({ second_look: probe!.version });

  const answer = async () => allFrames(await call(url, body, { edit: (d) => ({ ...d, second_look }) }));
  const frames = await answer();
  const end = endOf(frames);
  const receipt = await verifyReceipt(end.receipt, keys.jwks);
  expect(receipt.second_look).toEqual(end.second_look);
  expect(receipt.second_look!.version).toBe(probe!.version);
  const { line, tightened } = lineAfterLook(OPEN_LINE, second_look, receipt.second_look!.categories);
  expect(tightened).toBe(true);
  expect(receipt.line).toEqual(line);
  expect(receipt.weights.min).toBeGreaterThanOrEqual(line.floor - 1e-9);
  expect(receipt.spent).toBeLessThanOrEqual(line.budget! + 1e-9);
  // The second time, what was kept of the prompt is looked at.
  const again = await answer();
  expect(textOf(again)).toBe(textOf(frames));
  expect(endOf(again).second_look).toEqual(end.second_look);

  const plain = await verifyReceipt(endOf(await allFrames(await call(url, body))).receipt, keys.jwks);
  expect([plain.second_look, plain.line]).toEqual([null, OPEN_LINE]);
});

test('refuses before the first token if a rule says so', async () => {
  const { url } = await serve('refusing', { probeWindow: 8 });
  const refuse = SignalRules.parse({ any_harm: { action: 'refuse', ramp: { from: 0, full: 0 } } });
  const looks = { base: 0, rules: refuse };
  const frames = await allFrames(await call(url, body, { edit: (d) => ({ ...d, second_look: looks }) }));
  expect(frames.map(({ type }) => type)).toEqual(['start', 'end']);
  const receipt = await verifyReceipt(endOf(frames).receipt, keys.jwks);
  expect(receipt).toMatchObject({
    finish_reason: 'content_filter',
    second_look: { because: 'any_harm' },
    usage: { completion_tokens: 0 },
  });
});

test('a backend without a probe refuses a directive that asks for a look', async () => {
  const { url } = await serve('blind', {});
  expect(await (await fetch(`${url}/healthz`)).json()).toMatchObject({ second_look: null });
  const refusal = await errorOf(await call(url, body, { edit: (d) => ({ ...d, second_look }) }));
  expect(refusal).toMatchObject({ status: 503, code: 'backend_unavailable' });
});
