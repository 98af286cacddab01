/**
 * The secrets of a local stack, made once and then kept. The edge signs directives with the
 * directive secret. The backends' draws depend on the draw secret: as long as it stays, yesterday's
 * request gets yesterday's answer. The backends sign receipts with one key pair and the edge with
 * another: as long as they stay, yesterday's receipts still verify.
 */
import { randomBytes } from 'node:crypto';
import { chmod, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import {
  CompactSign,
  calculateJwkThumbprint,
  compactVerify,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JSONWebKeySet,
} from 'jose';
import * as z from 'zod';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';

/** The length that the edge and the backend require. In base64url it is 43 characters. */
const SECRET_BYTES = 32;

const PrivateJwk = z.strictObject({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string().min(1),
  d: z.string().min(1),
  kid: z.string().min(1),
});
type PrivateJwk = z.infer<typeof PrivateJwk>;

export type Secrets = {
  directiveSecret: string;
  drawSecret: string;
  receiptPrivateJwk: PrivateJwk;
  receiptJwks: JSONWebKeySet;
  edgeReceiptJwk: PrivateJwk;
};

export async function loadSecrets(dir: string): Promise<Secrets> {
  makeFolder(dir, { mode: 0o700 });
  const keepSecret = (name: string) => keep(path.join(dir, name), z.string().min(SECRET_BYTES), makeSecret);
  const directiveSecret = await keepSecret('directive-secret');
  const drawSecret = await keepSecret('draw-secret');
  const receiptPrivateJwk = await keepKey(path.join(dir, 'receipt-key.json'));
  const edgeReceiptJwk = await keepKey(path.join(dir, 'edge-receipt-key.json'));
  const { d: _private, ...publicJwk } = receiptPrivateJwk;
  return { directiveSecret, drawSecret, receiptPrivateJwk, receiptJwks: { keys: [publicJwk] }, edgeReceiptJwk };
}

async function keepKey(file: string): Promise<PrivateJwk> {
  const key = await keep(file, PrivateJwk, makeReceiptKey);
  await tryKey(key).catch((cause: unknown) => {
    throw damaged(file, 'its two halves are no pair', cause);
  });
  return key;
}

const makeSecret = async () => randomBytes(SECRET_BYTES).toString('base64url');

async function makeReceiptKey(): Promise<PrivateJwk> {
  const { privateKey } = await generateKeyPair('Ed25519', { extractable: true });
  const jwk = await exportJWK(privateKey);
  const { kty, crv, x, d } = jwk;
  return PrivateJwk.parse({ kty, crv, x, d, kid: await calculateJwkThumbprint(jwk) });
}

/** Rejects if the public half does not verify what the private half signs. */
async function tryKey({ d, ...publicJwk }: PrivateJwk): Promise<void> {
  const privateKey = await importJWK({ ...publicJwk, d }, 'EdDSA');
  const signed = await new CompactSign(new Uint8Array(1)).setProtectedHeader({ alg: 'EdDSA' }).sign(privateKey);
  await compactVerify(signed, await importJWK(publicJwk, 'EdDSA'));
}

function damaged(file: string, why: string, cause: unknown): Error {
  return new Error(`${file} is damaged (${why}); delete it to have a new one made`, { cause });
}

/**
 * Reads the value in the file. If there is no file, makes the value and writes it first. A broken
 * file is an error and is not changed.
 */
async function keep<T>(file: string, schema: z.ZodType<T>, make: () => Promise<T>): Promise<T> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (text === null) {
    const made = await make();
    // Written whole or not at all: a crash must not leave half a key, which would fail at the next
    // start.
    await writeFile(`${file}.new`, JSON.stringify(made), { mode: 0o600 });
    await rename(`${file}.new`, file);
    return made;
  }
  await chmod(file, 0o600);
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw damaged(file, 'it is not what was written', cause);
  }
}
