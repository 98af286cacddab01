/** Public keys, from a file or from the edge that publishes them. */
import { readFile } from 'node:fs/promises';
import type { JSONWebKeySet } from 'jose';
import * as z from 'zod';
import { whyNot } from '../options/why-not.ts';
import { CannotCheck } from './cannot-check.ts';

const KeySet = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });
const PATH = '/.well-known/jwks.json';
const TIMEOUT_MS = 10_000;

/** @param where a file, or a URL; the address of an edge stands for its published keys */
export async function readKeys(where: string): Promise<JSONWebKeySet> {
  const text = /^https?:\/\//.test(where) ? await fetchText(new URL(where)) : await readText(where);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CannotCheck(`${where} is not JSON; a key set is wanted, as in {"keys":[...]}`, { cause });
  }
  const parsed = KeySet.safeParse(json);
  if (!parsed.success) {
    throw new CannotCheck(`${where} is no key set: ${z.prettifyError(parsed.error)}`, { cause: parsed.error });
  }
  return parsed.data;
}

async function fetchText(url: URL): Promise<string> {
  const address = url.pathname === '/' ? new URL(PATH, url) : url;
  try {
    const answer = await fetch(address, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!answer.ok) throw new Error(`found status ${answer.status}, wanted 200`);
    return await answer.text();
  } catch (cause) {
    const why = cause instanceof Error ? ((cause.cause as Error | undefined)?.message ?? cause.message) : String(cause);
    throw new CannotCheck(`${address} cannot be read: ${why}`, { cause });
  }
}

function readText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new CannotCheck(`${file} cannot be read: ${whyNot(cause)}`, { cause });
  });
}
