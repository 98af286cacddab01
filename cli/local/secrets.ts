/**
 * What a local stack must keep to itself, made once and then kept: the secret under which the edge signs directives, the secret
 * that the backends' draws hang on, so that a request of yesterday still has yesterday's answer, and the key pair under which they
 * sign receipts, so that receipts of yesterday still verify.
 */
import { randomBytes } from 'node:crypto';
import { chmod, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JSONWebKeySet } from 'jose';
import * as z from 'zod';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';

/** As the edge and the backend want it; base64url makes 43 characters of these. */
const SECRET_BYTES = 32;

const PrivateJwk = z.strictObject({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string().min(1),
  d: z.string().min(1),
  kid: z.string().min(1),
});
export type PrivateJwk = z.infer<typeof PrivateJwk>;

export type Secrets = {
  directiveSecret: string;
  drawSecret: string;
  receiptPrivateJwk: PrivateJwk;
  receiptJwks: JSONWebKeySet;
};

export async function loadSecrets(dir: string): Promise<Secrets> {
  makeFolder(dir, { mode: 0o700 });
  const keepSecret = (name: string) => keep(path.join(dir, name), z.string().min(SECRET_BYTES), makeSecret);
  const directiveSecret = await keepSecret('directive-secret');
  const drawSecret = await keepSecret('draw-secret');
  const receiptPrivateJwk = await keep(path.join(dir, 'receipt-key.json'), PrivateJwk, makeReceiptKey);
  const { d: _private, ...publicJwk } = receiptPrivateJwk;
  return { directiveSecret, drawSecret, receiptPrivateJwk, receiptJwks: { keys: [publicJwk] } };
}

const makeSecret = async () => randomBytes(SECRET_BYTES).toString('base64url');

async function makeReceiptKey(): Promise<PrivateJwk> {
  const { privateKey } = await generateKeyPair('Ed25519', { extractable: true });
  const jwk = await exportJWK(privateKey);
  const { kty, crv, x, d } = jwk;
  return PrivateJwk.parse({ kty, crv, x, d, kid: await calculateJwkThumbprint(jwk) });
}

/** The file's value, which is made and written first if there is no file. A broken file is an error and is left as it is. */
async function keep<T>(file: string, schema: z.ZodType<T>, make: () => Promise<T>): Promise<T> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (text === null) {
    const made = await make();
    // Whole or not at all: a key cut short by a crash would be found broken the next time.
    await writeFile(`${file}.new`, JSON.stringify(made), { mode: 0o600 });
    await rename(`${file}.new`, file);
    return made;
  }
  await chmod(file, 0o600);
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Error(`${file} is damaged; delete it to have a new one made`, { cause });
  }
}
