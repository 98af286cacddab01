/**
 * How much memory a backend gives to kept prefixes: what the operator says, or else a part of what
 * the weights and the plan for keys and values leave.
 */

/**
 * Of what keys and values leave. The other half is for activations. Keys and values take three
 * quarters of the memory beside the weights (choose-context.ts), so this is an eighth of it.
 */
const SHARE = 1 / 2;
/**
 * Of the memory beside the weights, however little of it keys and values get. Who gives them little
 * may have other uses for the rest, such as other backends.
 */
const MOST = 1 / 8;
const MIB = 2 ** 20;

export type PrefixChoice = {
  bytes: number;
  /** The choice in one line. */
  reason: string;
};

/** Throws if more is wanted than there can be. */
export function choosePrefixBytes({
  wanted,
  totalBytes = Infinity,
  leftBytes,
  kvBytes,
  perToken,
}: {
  /** Bytes. */
  wanted: number | null;
  /** All the memory that there is. */
  totalBytes?: number;
  /** What is free beside the weights. */
  leftBytes: number;
  /** What of that the keys and values of requests may take. */
  kvBytes: number;
  /** Bytes of one token's keys and values. */
  perToken: number;
}): PrefixChoice {
  if (wanted !== null && wanted > totalBytes) {
    throw new Error(`PLIMSOLL_PREFIX_CACHE: found ${wanted}, wanted at most the ${totalBytes} bytes of this machine`);
  }
  const bytes = wanted ?? Math.floor(Math.min(MOST * leftBytes, SHARE * Math.max(0, leftBytes - kvBytes)));
  const reason =
    bytes === 0
      ? 'no prefix of a prompt is kept for later requests'
      : `prefixes of prompts are kept for later requests, in at most ${Math.round(bytes / MIB)} MiB: ` +
        `${Math.floor(bytes / perToken)} tokens of rows`;
  return { bytes, reason };
}
