/**
 * What a key that we make looks like: `pk-`, 64 hex digits that nobody guesses, and 8 that follow
 * from them. So a key that was cut off, mistyped or made up in this form is refused without asking
 * any store. The 8 digits are no secret. They keep out accidents and simple scanners, and the bound
 * on wrong keys (tenant-directory.ts) keeps out the rest.
 *
 * Keys of any other form are asked for: those made before keys had a checksum, and those that an
 * operator has put as digests.
 */
import { sha256Hex } from '#shared/protocol/sha256.ts';

/** 256 bits: nobody guesses one. */
const SECRET_BYTES = 32;
const CHECK_DIGITS = 8;
/**
 * The prefix is so that people, and what scans for leaked secrets, know a key when they see one.
 */
const FORM = /^pk-(?<secret>[0-9a-f]{64})-(?<check>[0-9a-f]{8})$/;

export async function makeKey(): Promise<string> {
  const random = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  const secret = Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return `pk-${secret}-${await checkOf(secret)}`;
}

/** Whether it has the form of a key that we make, and is none. */
export async function isNoKey(key: string): Promise<boolean> {
  const parts = FORM.exec(key)?.groups;
  return parts !== undefined && parts.check !== (await checkOf(parts.secret ?? ''));
}

async function checkOf(secret: string): Promise<string> {
  return (await sha256Hex(`plimsoll key ${secret}`)).slice(0, CHECK_DIGITS);
}
