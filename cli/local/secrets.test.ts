import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type CryptoKey, importJWK } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import { importDrawSecret } from '#shared/protocol/derive-draw-key.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { signReceipt, verifyReceipt } from '#shared/protocol/receipt.ts';
import { loadSecrets } from './secrets.ts';

let dir: string;
beforeEach(async () => {
  dir = path.join(await mkdtemp(path.join(tmpdir(), 'plimsoll-secrets-')), 'secrets');
});
afterEach(() => rm(path.dirname(dir), { recursive: true, force: true }));

const RECEIPT: Parameters<typeof signReceipt>[0] = {
  request: 'req_1',
  directive: '11111111-1111-4111-8111-111111111111',
  tenant: 'demo-strict',
  key: 'demo',
  policy: '0',
  classifier: '0',
  model: 'tiny',
  bundle: '0',
  experts: { safety: { kind: 'adapter' }, helpfulness: { kind: 'adapter' } },
  backend: 'backend-1',
  parts: [],
  draws: '0',
  line: { ...OPEN_LINE, floor: 0.9, budget: 2 },
  second_look: null,
  top_k: null,
  weights: { min: 0.9, mean: 0.9, max: 0.9 },
  spent: 0,
  ran: { safety: 1, helpfulness: 1 },
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  finish_reason: 'stop',
  choice: 0,
  choices: 1,
  seed: 1,
  sampling: { temperature: 0.7, top_p: 0.9, top_k: 0, min_p: 0, repetition_penalty: 1 },
  prompt_digest: '0',
  answer_digest: '0',
};

test('secrets are made once, then kept, and only their owner can read them', async () => {
  const made = await loadSecrets(dir);
  expect(await loadSecrets(dir)).toEqual(made);
  const files = await readdir(dir);
  expect(files.sort()).toEqual(['directive-secret', 'draw-secret', 'edge-receipt-key.json', 'receipt-key.json']);
  for (const file of files) expect((await stat(path.join(dir, file))).mode & 0o777).toBe(0o600);
  expect((await stat(dir)).mode & 0o777).toBe(0o700);
});

test('the edge and the backends accept the secrets, and only the public key is published', async () => {
  const { directiveSecret, drawSecret, receiptPrivateJwk, receiptJwks, edgeReceiptJwk } = await loadSecrets(dir);
  expect(directiveKey(directiveSecret).byteLength).toBeGreaterThanOrEqual(32);
  expect((await importDrawSecret(drawSecret)).id).toMatch(/^[0-9a-f]{8}$/);
  expect(drawSecret).not.toBe(directiveSecret);
  expect(JSON.stringify(receiptJwks)).not.toContain(receiptPrivateJwk.d);
  expect(edgeReceiptJwk.kid).not.toBe(receiptPrivateJwk.kid);
  const privateKey = (await importJWK(receiptPrivateJwk, 'EdDSA')) as CryptoKey;
  const receipt = await signReceipt(RECEIPT, { privateKey, kid: receiptPrivateJwk.kid });
  expect(await verifyReceipt(receipt, receiptJwks)).toEqual(RECEIPT);
});

test('makes secrets private again after a copy has made them readable to others', async () => {
  await loadSecrets(dir);
  const file = path.join(dir, 'directive-secret');
  await chmod(file, 0o644);
  await loadSecrets(dir);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

test.each(['directive-secret', 'draw-secret', 'receipt-key.json', 'edge-receipt-key.json'])(
  'names a damaged %s and leaves it as it is',
  async (name) => {
    await loadSecrets(dir);
    const file = path.join(dir, name);
    await writeFile(file, '"short"');
    await expect(loadSecrets(dir)).rejects.toThrow(
      `${file} is damaged (it is not what was written); delete it to have a new one made`,
    );
    expect(await readFile(file, 'utf8')).toBe('"short"');
  },
);

test.each(['x', 'd'] as const)('names the receipt key file if one bit of %s has changed', async (half) => {
  const { receiptPrivateJwk } = await loadSecrets(dir);
  const file = path.join(dir, 'receipt-key.json');
  const bytes = Buffer.from(receiptPrivateJwk[half], 'base64url');
  bytes[7]! ^= 4;
  await writeFile(file, JSON.stringify({ ...receiptPrivateJwk, [half]: bytes.toString('base64url') }));
  await expect(loadSecrets(dir)).rejects.toThrow(`${file} is damaged (its two halves are no pair); delete it`);
  await writeFile(file, JSON.stringify({ ...receiptPrivateJwk, [half]: receiptPrivateJwk[half].slice(1) }));
  await expect(loadSecrets(dir)).rejects.toThrow(`${file} is damaged`);
});
