/**
 * A GGUF file of random weights in any Llama shape, in Q4_1 with an embedding in Q8_0, as
 * llama.cpp's own conversions have them. Speed does not depend on what the weights say. The
 * tokenizer is that of another file, and grows by made-up tokens if the vocabulary is larger. It is
 * written as a stream, so a file of any size takes little memory.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { openGguf } from '#gpu-backend/gguf/open-gguf.ts';
import { float, GgufBytes, texts } from '#gpu-backend/gguf/testing/make-gguf.ts';
import { metadataEntries } from '#gpu-backend/gguf/testing/write-f32-gguf.ts';
import { encodeHalf } from '#gpu-backend/model/half.ts';
import { createRandom } from '#training/data/random.ts';

export type Shape = {
  /** Width, layers, heads, key heads, the width of the MLP, and the vocabulary. */
  d: number;
  layers: number;
  heads: number;
  keyHeads: number;
  ffn: number;
  vocab: number;
};

/** TinyLlama-1.1B's layers (d, layers, heads and MLP), with the vocabulary of SmolLM2. */
export const TINYLLAMA: Shape = { d: 2048, layers: 22, heads: 32, keyHeads: 4, ffn: 5632, vocab: 49_152 };
/** Qwen2.5-0.5B's shape, for its vocabulary. */
export const QWEN_HALF_B: Shape = { d: 896, layers: 24, heads: 14, keyHeads: 2, ffn: 4864, vocab: 151_936 };

/**
 * The scale of the last norm. With embeddings of unit length, logits have this standard deviation;
 * a softmax over 150,000 such logits leaves about fifty likely tokens, as language does.
 */
const LOGIT_SCALE = 4;
const CONTEXT = 8192;
const ALIGNMENT = 32;
const PIECE_BYTES = 2 ** 18;
const TYPES = { f32: 0, q4: 3, q8: 8 } as const;
type Planned = { name: string; type: keyof typeof TYPES; shape: number[]; value: number };

/** `tokenizerOf` is the file whose tokenizer to take. */
export async function writeRandomGguf(to: string, shape: Shape, { tokenizerOf }: { tokenizerOf: string }) {
  const tensors = plan(shape);
  const metadata = await tokenizerEntries(tokenizerOf, shape.vocab);
  const own = new GgufBytes();
  for (const [key, value] of Object.entries(sizes(shape))) {
    own.text(key);
    if (typeof value === 'string') own.u32(8).text(value);
    else if (typeof value === 'number') own.u32(4).u32(value);
    else own.u32(value.type).bytes(value.bytes);
  }
  const count = metadata.length + Object.keys(sizes(shape)).length;
  const header = new GgufBytes().bytes(Buffer.from('GGUF')).u32(3).u64(tensors.length).u64(count).bytes(own.build());
  for (const entry of metadata) header.bytes(entry);
  let offset = 0;
  for (const tensor of tensors) {
    header.text(tensor.name).u32(tensor.shape.length);
    for (const size of tensor.shape.toReversed()) header.u64(size);
    header.u32(TYPES[tensor.type]).u64(offset);
    offset += Math.ceil(bytesOf(tensor) / ALIGNMENT) * ALIGNMENT;
  }
  const file = await open(to, 'w');
  try {
    await file.writeFile(header.pad(ALIGNMENT).build());
    for (const tensor of tensors) await writeTensor(file, tensor);
  } finally {
    await file.close();
  }
}

function plan({ d, layers, heads, keyHeads, ffn, vocab }: Shape): Planned[] {
  const keys = (d / heads) * keyHeads;
  const matrix = (name: string, rows: number, columns: number): Planned => {
    return { name: `${name}.weight`, type: 'q4', shape: [rows, columns], value: columns ** -0.5 };
  };
  const norm = (name: string, value = 1): Planned => ({ name: `${name}.weight`, type: 'f32', shape: [d], value });
  const layer = (i: number) => [
    norm(`blk.${i}.attn_norm`),
    matrix(`blk.${i}.attn_q`, d, d),
    matrix(`blk.${i}.attn_k`, keys, d),
    matrix(`blk.${i}.attn_v`, keys, d),
    matrix(`blk.${i}.attn_output`, d, d),
    norm(`blk.${i}.ffn_norm`),
    matrix(`blk.${i}.ffn_gate`, ffn, d),
    matrix(`blk.${i}.ffn_up`, ffn, d),
    matrix(`blk.${i}.ffn_down`, d, ffn),
  ];
  return [
    { ...matrix('token_embd', vocab, d), type: 'q8' },
    ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
    norm('output_norm', LOGIT_SCALE),
  ];
}

function sizes({ d, layers, heads, keyHeads, ffn, vocab }: Shape) {
  return {
    'general.architecture': 'llama',
    'llama.vocab_size': vocab,
    'llama.context_length': CONTEXT,
    'llama.embedding_length': d,
    'llama.block_count': layers,
    'llama.feed_forward_length': ffn,
    'llama.attention.head_count': heads,
    'llama.attention.head_count_kv': keyHeads,
    'llama.rope.dimension_count': d / heads,
    'llama.rope.freq_base': float(10_000),
    'llama.attention.layer_norm_rms_epsilon': float(1e-5),
  };
}

/** The tokenizer's part of the metadata, each entry as bytes. */
async function tokenizerEntries(path: string, vocab: number): Promise<Uint8Array[]> {
  const source = await openGguf(path);
  await source.close();
  const entries = [...(await metadataEntries(path))].filter(([key]) => key.startsWith('tokenizer.'));
  // GGUF says that it is a list of texts, and llama.cpp made this one.
  const tokens = source.metadata.get('tokenizer.ggml.tokens') as string[];
  const types = source.metadata.get('tokenizer.ggml.token_type') as number[];
  const more = Array.from({ length: vocab - tokens.length }, (_, i) => `<extra${i}>`);
  const NORMAL = 1;
  const grown: Record<string, { type: number; bytes: Uint8Array }> = {
    'tokenizer.ggml.tokens': texts([...tokens, ...more]),
    'tokenizer.ggml.token_type': numbers([...types, ...more.map(() => NORMAL)]),
  };
  return entries.map(([key, bytes]) => {
    const value = grown[key];
    return value === undefined ? bytes : new GgufBytes().text(key).u32(value.type).bytes(value.bytes).build();
  });
}

/** An array of int32. */
function numbers(values: readonly number[]) {
  const bytes = new GgufBytes().u32(5).u64(values.length);
  return { type: 9, bytes: bytes.bytes(new Uint8Array(Int32Array.from(values).buffer)).build() };
}

function bytesOf({ type, shape }: Planned): number {
  const count = shape.reduce((product, size) => product * size, 1);
  return type === 'f32' ? 4 * count : (count / 32) * (type === 'q4' ? 20 : 34);
}

async function writeTensor(file: FileHandle, tensor: Planned): Promise<void> {
  const bytes = bytesOf(tensor);
  const piece = pieceOf(tensor);
  for (let at = 0; at < bytes; at += piece.length) await file.writeFile(piece.subarray(0, bytes - at));
  await file.writeFile(new Uint8Array((ALIGNMENT - (bytes % ALIGNMENT)) % ALIGNMENT));
}

/**
 * The first part of a tensor, which then repeats. Weights have mean 0 and the standard deviation
 * `value`; those of a norm are all `value`.
 */
function pieceOf({ name, type, shape, value }: Planned): Buffer {
  if (type === 'f32') return Buffer.from(new Float32Array(shape[0]!).fill(value).buffer);
  const random = createRandom(`bench/random-gguf/${name}`);
  const [blockBytes, headBytes] = type === 'q4' ? [20, 4] : [34, 2];
  const blocks = Math.min(Math.floor(PIECE_BYTES / blockBytes), (shape[0]! * shape[1]!) / 32);
  const piece = Buffer.alloc(blocks * blockBytes);
  // Uniform over 0..15 and over -127..127, whose standard deviations are these.
  const d = value / (type === 'q4' ? 4.61 : 73.3);
  const head = Buffer.from(encodeHalf(Float32Array.of(d, -7.5 * d)).buffer);
  for (let at = 0; at < piece.length; at += blockBytes) {
    head.copy(piece, at, 0, headBytes);
    for (let i = at + headBytes; i < at + blockBytes; i++) {
      // -128 is not a value of Q8_0.
      piece[i] = type === 'q4' ? Math.floor(256 * random.next()) : Math.floor(255 * random.next()) - 127;
    }
  }
  return piece;
}
