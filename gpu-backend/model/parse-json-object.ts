import { CheckpointError } from './checkpoint-error.ts';
import { duplicateKey } from './duplicate-key.ts';
import { isTooDeep, TOO_DEEP } from './json-depth.ts';

/**
 * Parses a JSON object strictly: valid UTF-8, no space before the brace, and no key twice. Returns
 * its entries rather than the object, because `__proto__` is a tensor name like any other.
 * `key` says in errors what the bytes are.
 */
export function parseJsonObject(bytes: Uint8Array, file: string, key: string): [key: string, value: unknown][] {
  const refuse = (found: string, cause?: unknown) =>
    new CheckpointError(file, { key, found, wanted: 'a JSON object' }, { cause });
  let json: string;
  let parsed: unknown;
  try {
    json = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw refuse('no JSON', cause);
  }
  if (isTooDeep(json)) throw refuse(TOO_DEEP);
  try {
    parsed = JSON.parse(json);
  } catch (cause) {
    throw refuse('no JSON', cause);
  }
  if (!json.startsWith('{')) throw refuse(`${JSON.stringify(json[0])} as its first character`);
  const twice = duplicateKey(json);
  if (twice !== undefined) {
    throw new CheckpointError(file, { key, found: `the key ${twice} twice`, wanted: 'every key once' });
  }
  // It begins with a brace and is JSON, so it is an object.
  return Object.entries(parsed as object);
}
