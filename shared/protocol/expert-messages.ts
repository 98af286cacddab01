/**
 * What edge and backend say to each other over the WebSocket of one expert. The edge opens with the
 * request, and then tells which token it has drawn at each position. The backend answers with the
 * expert's row at each position, in binary; everything else is JSON.
 *
 *     edge      open ──────────── take 0 ──── take 1 ────
 *     backend        start  row 0        row 1      row 2
 *
 * While the edge has nothing to take, because the other expert or the client is slow, it says every
 * few seconds that it is here. A backend that hears nothing frees the row.
 *
 * A backend that may run ahead does not wait for a take. It guesses what the edge will draw, says
 * so with the row (`draft`), and goes on. If the edge draws something else, it says so under a new
 * `epoch`: rows of an older epoch are about a text that never was, and count for nothing.
 */
import { base64url } from 'jose';
import * as z from 'zod';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import { ERROR_CODES, type ErrorCode } from '#shared/api/errors.ts';
import { LookReport } from '#shared/api/plimsoll-extension.ts';
import type { OwnRow } from '#shared/gate/index.ts';
import { ExpertKinds } from './expert-kind.ts';

const id = z.int().min(0).max(0x7fffffff);
const count = z.int().min(0).max(0xffffffff);

export const Open = z.strictObject({
  type: z.literal('open'),
  /** The body of `POST /v1/generate`, whose digest is the directive's. */
  body: z.string(),
  /** The tokens that the answer has already, if it goes on after another backend has broken off. */
  ids: z.array(id),
  /** The id of the draw secret under which it has begun then; null if it begins. */
  draws: z.string().nullable(),
  /** Whether the edge still has to learn the model's vocabulary. */
  vocabulary: z.boolean(),
});
export type Open = z.infer<typeof Open>;

/** The edge has drawn `id` at the position `at`. */
const Take = z.strictObject({ type: z.literal('take'), at: count, id, epoch: count });
export type Take = z.infer<typeof Take>;

/** The edge is there, and waits. */
const Here = z.strictObject({ type: z.literal('here') });
/** What the edge says after its `open`. */
export const Told = z.discriminatedUnion('type', [Take, Here]);
export type Told = z.infer<typeof Told>;
/** How often the edge says that it is here. */
export const HERE_EVERY_MS = 15_000;
/**
 * How long a backend keeps a row for an edge that says nothing: a few of its words may get lost.
 */
export const SILENT_EDGE_MS = 4 * HERE_EVERY_MS;

/**
 * The vocabulary, packed: the bytes of all tokens one after the other, and how many each has, as
 * 16-bit numbers, the low byte first. Both base64url.
 */
const PackedVocabulary = z.strictObject({
  eos: z.array(id).min(1),
  banned: z.array(id),
  drops_first_space: z.boolean(),
  bytes: z.string(),
  lengths: z.string(),
});
type PackedVocabulary = z.infer<typeof PackedVocabulary>;

/**
 * The last step of a logits router, whose first layer each expert's backend computes half of:
 * `g = sigmoid(out . silu(s + h + bias) + c)`.
 */
export const RouterEnd = z.strictObject({ bias: z.array(z.number()), out: z.array(z.number()), c: z.number() });
export type RouterEnd = z.infer<typeof RouterEnd>;

const errorCodes = Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]];

/** What a backend says in JSON. */
export const Said = z.discriminatedUnion('type', [
  z.object({ type: z.literal('waiting') }),
  z.object({ type: z.literal('reading') }),
  z.object({
    type: z.literal('start'),
    backend: z.string(),
    model: z.string(),
    bundle: z.string(),
    /** How many token ids there are. */
    vocab_size: z.int().min(1),
    /** The id of the secret behind `key`. */
    draws: z.string().optional(),
    /** What the experts of its bundle are. */
    experts: ExpertKinds,
    prompt_tokens: z.int().min(1),
    /** How many tokens an answer may have here. */
    most_tokens: z.int().min(1),
    /** The safety weight proposed for every token, or the end of the router that proposes it. */
    proposal: z.union([z.number(), RouterEnd]),
    /**
     * What the answer's draws are made from. It is this answer's alone. Only the safety expert's
     * backend says it: a helpfulness expert that knew a draw could choose it with its row.
     */
    key: z.tuple([count, count, count, count]).optional(),
    /** The client's tokens, for a repetition penalty. Only if there is one. */
    prompt_ids: z.array(id).optional(),
    vocabulary: PackedVocabulary.optional(),
  }),
  /** What a second look at the prompt has found, before the first row. */
  z.object({ type: z.literal('looked'), report: LookReport }),
  /** Nothing follows. */
  z.object({ type: z.literal('error'), code: z.enum(errorCodes), message: z.string() }),
]);
export type Said = z.infer<typeof Said>;
export type ExpertStart = Extract<Said, { type: 'start' }>;

export type ExpertRow = {
  epoch: number;
  /** How many of the answer's tokens the expert had read. */
  position: number;
  /** What it goes on with before it is told; null if it waits. */
  draft: number | null;
  /** The expert's half of the router's first layer; empty without a router. */
  half: Float64Array;
} & ({ logits: Float32Array } | OwnRow);

const HEADER_BYTES = 32;
const NONE = 0xffffffff;

/**
 * A row in bytes, the low byte first:
 *
 *     u32 epoch, position, draft (all ones: none), length of half, u8 1 if truncated, 3 bytes 0,
 *     u32 tokens | f64 left | f64 half[] | f64 logprobs[], i32 ids[]  or  f32 logits[]
 */
export function encodeRow(row: ExpertRow): Uint8Array<ArrayBuffer> {
  const isWhole = 'logits' in row;
  const tokens = isWhole ? row.logits.length : row.ids.length;
  const halfEnd = HEADER_BYTES + 8 * row.half.length;
  const bytes = new Uint8Array(halfEnd + tokens * (isWhole ? 4 : 12));
  const { buffer } = bytes;
  const header = new DataView(buffer);
  header.setUint32(0, row.epoch, true);
  header.setUint32(4, row.position, true);
  header.setUint32(8, row.draft ?? NONE, true);
  header.setUint32(12, row.half.length, true);
  header.setUint8(16, isWhole ? 0 : 1);
  header.setUint32(20, tokens, true);
  header.setFloat64(24, isWhole ? 0 : row.left, true);
  new Float64Array(buffer, HEADER_BYTES, row.half.length).set(row.half);
  if (isWhole) new Float32Array(buffer, halfEnd, tokens).set(row.logits);
  else {
    new Float64Array(buffer, halfEnd, tokens).set(row.logprobs);
    new Int32Array(buffer, halfEnd + 8 * tokens, tokens).set(row.ids);
  }
  return bytes;
}

/** Throws a RangeError if the bytes are no row. */
export function decodeRow(buffer: ArrayBuffer): ExpertRow {
  if (buffer.byteLength < HEADER_BYTES) throw new RangeError(`a row of ${buffer.byteLength} bytes`);
  const header = new DataView(buffer);
  const draft = header.getUint32(8, true);
  const halves = header.getUint32(12, true);
  const isWhole = header.getUint8(16) === 0;
  const tokens = header.getUint32(20, true);
  const halfEnd = HEADER_BYTES + 8 * halves;
  const expected = halfEnd + tokens * (isWhole ? 4 : 12);
  if (buffer.byteLength !== expected) throw new RangeError(`a row of ${buffer.byteLength} bytes, not ${expected}`);
  const about = {
    epoch: header.getUint32(0, true),
    position: header.getUint32(4, true),
    draft: draft === NONE ? null : draft,
    half: new Float64Array(buffer, HEADER_BYTES, halves),
  };
  if (isWhole) return { ...about, logits: new Float32Array(buffer, halfEnd, tokens) };
  return {
    ...about,
    left: header.getFloat64(24, true),
    logprobs: new Float64Array(buffer, halfEnd, tokens),
    ids: new Int32Array(buffer, halfEnd + 8 * tokens, tokens),
  };
}

/** Stands for a token that has no text. */
const NO_TEXT = 0xffff;

/** @param size how many ids there are */
export function packVocabulary(vocabulary: Vocabulary, size: number): PackedVocabulary {
  const tokens = Array.from({ length: size }, (_, token) => vocabulary.bytesOf(token));
  const bytes = new Uint8Array(tokens.reduce((sum, token) => sum + (token?.length ?? 0), 0));
  const lengths = new DataView(new ArrayBuffer(2 * size));
  let at = 0;
  for (const [i, token] of tokens.entries()) {
    lengths.setUint16(2 * i, token?.length ?? NO_TEXT, true);
    if (token === undefined) continue;
    bytes.set(token, at);
    at += token.length;
  }
  return {
    eos: [...vocabulary.eos],
    banned: [...vocabulary.banned],
    drops_first_space: vocabulary.dropsFirstSpace ?? false,
    bytes: base64url.encode(bytes),
    lengths: base64url.encode(new Uint8Array(lengths.buffer)),
  };
}

export function unpackVocabulary({ eos, banned, drops_first_space, ...packed }: PackedVocabulary): Vocabulary {
  const bytes = base64url.decode(packed.bytes);
  const raw = base64url.decode(packed.lengths);
  const lengths = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const size = raw.byteLength >> 1;
  const starts = new Uint32Array(size + 1);
  const lengthOf = (token: number) => {
    const length = lengths.getUint16(2 * token, true);
    return length === NO_TEXT ? 0 : length;
  };
  for (let i = 0; i < size; i++) starts[i + 1] = (starts[i] ?? 0) + lengthOf(i);
  return {
    eos,
    banned,
    dropsFirstSpace: drops_first_space,
    bytesOf: (token) => {
      if (!(token >= 0 && token < size) || lengths.getUint16(2 * token, true) === NO_TEXT) return undefined;
      return bytes.subarray(starts[token], starts[token + 1]);
    },
  };
}
