/** Which requests a canary decides: a share of the traffic, chosen by the request's hash. */

/** 13 hex digits are 52 bits, which a number holds exactly. */
const DIGITS = 13;

/**
 * Whether a request belongs to the canary's share (0..1) of the traffic. Of the same hash the
 * answer is always the same, and whoever is in at one share is in at every larger one. So while a
 * share grows, no request goes back and forth between two policies. `requestHash` is a digest in
 * lower-case hex. Throws RangeError if it or the share is not what it should be.
 *
 *     inCanary(await sha256Hex(prompt), 0.05); // true for about one in twenty prompts
 */
export function inCanary(requestHash: string, share: number): boolean {
  const head = requestHash.slice(0, DIGITS);
  if (!/^[0-9a-f]{13}$/.test(head)) throw new RangeError(`a request's hash: found "${requestHash}", wanted hex digits`);
  if (!(share >= 0 && share <= 1)) throw new RangeError(`a canary's share: found ${share}, wanted 0 to 1`);
  return Number.parseInt(head, 16) < share * 16 ** DIGITS;
}
