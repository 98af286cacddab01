/**
 * How much memory a backend gives to kept prefixes: what the operator says, or else a part of what
 * the context's plan leaves.
 */

/**
 * Of the memory that is free beside the weights, the keys and values of requests take three
 * quarters (choose-context.ts). This is half of the remaining quarter. The other half is for
 * activations.
 */
const SHARE = 1 / 8;
const MIB = 2 ** 20;

export type PrefixChoice = {
  bytes: number;
  /** The choice in one line. */
  reason: string;
};

export function choosePrefixBytes({
  wanted,
  leftBytes,
  perToken,
}: {
  /** Bytes. */
  wanted: number | null;
  /** What is free beside the weights. */
  leftBytes: number;
  /** Bytes of one token's keys and values. */
  perToken: number;
}): PrefixChoice {
  const bytes = wanted ?? Math.floor(leftBytes * SHARE);
  const reason =
    bytes === 0
      ? 'no prefix of a prompt is kept for later requests'
      : `prefixes of prompts are kept for later requests, in at most ${Math.round(bytes / MIB)} MiB: ` +
        `${Math.floor(bytes / perToken)} tokens of rows`;
  return { bytes, reason };
}
