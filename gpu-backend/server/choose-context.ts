/**
 * How much memory a backend gives to keys and values, and how many tokens of prompt and answer it
 * allows: what the operator says, or else what memory allows.
 *
 * Keys and values of a token are f32 in every layer. All rows of the batch share the memory, and a
 * request waits until it has room (engine/admission.ts). So a context may be as long as fits for
 * the two rows of one request.
 */
import { type DecoderConfig, headDim } from '../model/config.ts';
import type { Manifest } from '../model/manifest.ts';
import { storedShapes } from '../model/stored-base.ts';
import { EMBEDDING } from '../model/table-names.ts';
import { elementCount } from '../model/tensor.ts';

/**
 * The part of free memory that keys and values may fill. The rest is for activations, for requests
 * and for what else the machine does.
 */
const SHARE = 0.75;
/** Below this many tokens, nobody is served well: a machine this full has to find out by itself. */
const LEAST = 512;
/** Keys and values are kept for a multiple of so many tokens (engine/kv-cache.ts). */
const STEP = 64;
/** The rows of one request. */
const ROWS = 2;

export type ContextChoice = {
  tokens: number;
  /** Memory for the keys and values of all rows: enough for one request as long as the context. */
  kvBytes: number;
  /** The choice in one line, with the numbers behind it. */
  reason: string;
  /** What is free beside the weights, in bytes. */
  leftBytes: number;
  /** Bytes of one token's keys and values. */
  perToken: number;
};

/** Throws if more is wanted than there can be. */
export function chooseContext(
  { id, config, manifest }: { id: string; config: DecoderConfig; manifest: Pick<Manifest, 'weights'> },
  {
    wanted,
    wantedKvBytes = null,
    freeBytes,
    totalBytes = Infinity,
  }: {
    wanted: number | null;
    wantedKvBytes?: number | null;
    /** Of the machine, or of the part of it that this process may use. */
    freeBytes: number;
    /** All the memory that there is. */
    totalBytes?: number;
  },
): ContextChoice {
  const most = config.max_position_embeddings;
  if (wanted !== null && wanted > most) {
    throw new Error(`PLIMSOLL_CONTEXT: found ${wanted}, wanted at most the ${most} tokens of ${id}`);
  }
  const perToken = keyBytes(config);
  const bytesOf = (tokens: number) => ROWS * Math.ceil(tokens / STEP) * STEP * perToken;
  if (wantedKvBytes !== null && wantedKvBytes < bytesOf(wanted ?? STEP)) {
    const least = `the ${bytesOf(wanted ?? STEP)} bytes that two rows of ${wanted ?? STEP} tokens take`;
    throw new Error(`PLIMSOLL_KV_BYTES: found ${wantedKvBytes}, wanted at least ${least}`);
  }
  if (wantedKvBytes !== null && wantedKvBytes > totalBytes) {
    throw new Error(
      `PLIMSOLL_KV_BYTES: found ${wantedKvBytes}, wanted at most the ${totalBytes} bytes of this machine`,
    );
  }
  const left = Math.max(0, freeBytes - weightBytes(config, manifest));
  const planned = wantedKvBytes ?? Math.floor(SHARE * left);
  const allowed = Math.floor(planned / bytesOf(STEP)) * STEP;
  const tokens = wanted ?? Math.min(most, Math.max(wantedKvBytes === null ? LEAST : STEP, allowed));
  const kvBytes = Math.max(planned, bytesOf(tokens));
  const reason =
    `${id}: a context of ${tokens} tokens, of at most ${most}. Keys and values of all requests get ` +
    `${inMiB(kvBytes)}, and two full rows take ${inMiB(bytesOf(tokens))} of it (${inKiB(perToken)} a token); ` +
    `${inMiB(left)} are free beside the weights`;
  return { tokens, kvBytes, reason, leftBytes: left, perToken };
}

/** Bytes of one token's keys and values. */
function keyBytes(config: DecoderConfig): number {
  return 2 * config.num_hidden_layers * config.num_key_value_heads * headDim(config) * Float32Array.BYTES_PER_ELEMENT;
}

/**
 * About what the base takes once it is loaded: floats as f32, a tied table twice, and quants once
 * more if prompts and answers are multiplied differently.
 */
function weightBytes(config: DecoderConfig, manifest: Pick<Manifest, 'weights'>): number {
  let bytes = 0;
  for (const [name, { dtypes, shape }] of storedShapes(config, manifest)) {
    const tied = config.tie_word_embeddings && name.startsWith(`${EMBEDDING}.`) ? 1 : 0;
    const packed = dtypes.includes('U8') && manifest.weights?.arithmetic === 'mixed' ? 2 : 1;
    bytes += (packed + tied) * elementCount(shape) * (dtypes.includes('U8') ? 1 : Float32Array.BYTES_PER_ELEMENT);
  }
  return bytes;
}

const inMiB = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
const inKiB = (bytes: number) => `${Math.round(bytes / 102.4) / 10} KiB`;
