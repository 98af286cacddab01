/**
 * How many tokens of prompt and answer a backend allows: what the operator says, or else what
 * memory allows.
 *
 * Keys and values of a token are f32 in every layer. All rows of the batch may be full at once, so
 * memory is divided among all of them.
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
const STEP = 64;

export type ContextChoice = {
  tokens: number;
  /** The choice in one line, with the numbers behind it. */
  reason: string;
};

/** Throws if more tokens are wanted than the model has positions for. */
export function chooseContext(
  { id, config, manifest }: { id: string; config: DecoderConfig; manifest: Pick<Manifest, 'weights'> },
  { wanted, maxRows, freeBytes }: { wanted: number | null; maxRows: number; freeBytes: number },
): ContextChoice {
  const most = config.max_position_embeddings;
  if (wanted !== null && wanted > most) {
    throw new Error(`PLIMSOLL_CONTEXT: found ${wanted}, wanted at most the ${most} tokens of ${id}`);
  }
  const perToken = keyBytes(config);
  const left = Math.max(0, freeBytes - weightBytes(config, manifest));
  const allowed = Math.floor((SHARE * left) / (maxRows * perToken) / STEP) * STEP;
  const tokens = wanted ?? Math.min(most, Math.max(LEAST, allowed));
  const reason =
    `${id}: a context of ${tokens} tokens, of at most ${most}. ${maxRows} full rows take ` +
    `${inMiB(tokens * maxRows * perToken)} (${inKiB(perToken)} a token); ${inMiB(left)} are free beside the weights`;
  return { tokens, reason };
}

/** Bytes of one token's keys and values. */
function keyBytes(config: DecoderConfig): number {
  return 2 * config.num_hidden_layers * config.num_key_value_heads * headDim(config) * Float32Array.BYTES_PER_ELEMENT;
}

/** About what the base takes once it is loaded: floats as f32, and a tied table twice. */
function weightBytes(config: DecoderConfig, manifest: Pick<Manifest, 'weights'>): number {
  let bytes = 0;
  for (const [name, { dtypes, shape }] of storedShapes(config, manifest)) {
    const copies = config.tie_word_embeddings && name.startsWith(`${EMBEDDING}.`) ? 2 : 1;
    bytes += copies * elementCount(shape) * (dtypes.includes('U8') ? 1 : Float32Array.BYTES_PER_ELEMENT);
  }
  return bytes;
}

const inMiB = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
const inKiB = (bytes: number) => `${Math.round(bytes / 102.4) / 10} KiB`;
