/**
 * A GGUF file under Hugging Face's names and with Hugging Face's order of rows, so that an importer
 * need not know where its weights come from. It knows the architectures in `PERMUTED`. It refuses a
 * tensor that has no counterpart, such as `rope_freqs.weight`: leaving it out would change what the
 * decoder computes.
 */
import type { BufferPool } from '#gpu-backend/model/buffer-pool.ts';
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import { noSuchTensor, type TensorInfo, type TensorSource } from '#gpu-backend/model/tensor-source.ts';
import type { GgufSource } from './open-gguf.ts';
import { unpermuteRows } from './unpermute-rows.ts';

/** Whether llama.cpp's converter permutes the rows of q and k in this architecture. */
export const PERMUTED: Readonly<Record<string, boolean>> = { llama: true, qwen2: false, qwen3: false };

const OUTER: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
};

const IN_BLOCK: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

/** Hugging Face's name for a tensor of llama.cpp, or undefined if it has none. */
export function huggingFaceName(ggufName: string): string | undefined {
  const [, layer, part, kind] = /^(?:blk\.(0|[1-9]\d{0,5})\.)?([a-z_]+)\.(weight|bias)$/.exec(ggufName) ?? [];
  const names = layer === undefined ? OUTER : IN_BLOCK;
  if (part === undefined || !Object.hasOwn(names, part)) return undefined;
  return layer === undefined ? `${names[part]}.${kind}` : `model.layers.${layer}.${names[part]}.${kind}`;
}

/** llama.cpp's name for a tensor of Hugging Face's decoder. Throws if it has none. */
export function ggufName(huggingFace: string): string {
  const [, layer, part, kind] = /^(?:model\.layers\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(huggingFace) ?? [];
  const names = Object.entries(layer === undefined ? OUTER : IN_BLOCK);
  const name = names.find(([, theirs]) => theirs === part)?.[0];
  if (name === undefined) throw new Error(`${huggingFace}: llama.cpp has no such tensor`);
  return layer === undefined ? `${name}.${kind}` : `blk.${layer}.${name}.${kind}`;
}

/**
 * The new source reads from `gguf`, and closes it when it is closed itself. It does not have the
 * tensors `without`: their reader sees to them.
 */
export function asHuggingFace(gguf: GgufSource, { without = [] }: { without?: readonly string[] } = {}): TensorSource {
  const places = new Map<string, Place>();
  const headsOf = permutedHeads(gguf);
  for (const name of gguf.names()) {
    if (without.includes(name)) continue;
    const key = `tensor ${name}`;
    const renamed = huggingFaceName(name);
    if (renamed === undefined) {
      const fault = { key, found: 'no counterpart', wanted: "a tensor of Hugging Face's decoder" };
      throw new CheckpointError(gguf.file, fault);
    }
    const heads = headsOf(name);
    const [rows] = gguf.info(name).shape;
    if (heads !== undefined && (rows === undefined || rows % (2 * heads) !== 0)) {
      const [found, wanted] = [`${rows} rows`, `an even number for each of ${heads} heads`];
      throw new CheckpointError(gguf.file, { key, found, wanted });
    }
    places.set(renamed, { name, heads });
  }
  return new GgufAsHuggingFace(gguf, places);
}

/** A tensor's name in the file, and its number of heads if its rows are permuted. */
type Place = { name: string; heads: number | undefined };

class GgufAsHuggingFace implements TensorSource {
  readonly file: string;
  readonly #gguf: GgufSource;
  readonly #places: ReadonlyMap<string, Place>;

  constructor(gguf: GgufSource, places: ReadonlyMap<string, Place>) {
    this.file = gguf.file;
    this.#gguf = gguf;
    this.#places = places;
  }

  names(): string[] {
    return [...this.#places.keys()];
  }

  info(name: string): TensorInfo {
    return this.#gguf.info(this.#place(name).name);
  }

  async read(name: string, pool?: BufferPool): Promise<Float32Array<ArrayBuffer>> {
    const place = this.#place(name);
    return this.#inOrder(place, await this.#gguf.read(place.name, pool));
  }

  /** A row is whole blocks, so the bytes of rows change places as their numbers do. */
  async readBytes(name: string, pool?: BufferPool): Promise<Uint8Array<ArrayBuffer>> {
    const place = this.#place(name);
    return this.#inOrder(place, await this.#gguf.readBytes(place.name, pool));
  }

  close(): Promise<void> {
    return this.#gguf.close();
  }

  #inOrder<Rows extends Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>({ name, heads }: Place, data: Rows): Rows {
    if (heads === undefined) return data;
    const [rows] = this.#gguf.info(name).shape;
    // asHuggingFace has checked that there are rows.
    return unpermuteRows(data, { rows: rows!, heads });
  }

  #place(name: string): Place {
    const place = this.#places.get(name);
    if (!place) throw noSuchTensor(this, name);
    return place;
  }
}

/** Tells in how many heads the rows of a tensor are permuted; undefined if they are not. */
function permutedHeads({ metadata, file }: GgufSource): (name: string) => number | undefined {
  const architecture = String(metadata.get('general.architecture'));
  if (!Object.hasOwn(PERMUTED, architecture)) {
    const fault = { key: 'general.architecture', found: architecture, wanted: Object.keys(PERMUTED).join(' or ') };
    throw new CheckpointError(file, fault);
  }
  if (!PERMUTED[architecture]) return () => undefined;
  const count = (key: string, otherwise?: number) => {
    const found = metadata.get(key) ?? otherwise;
    if (typeof found === 'number' && Number.isInteger(found) && found > 0) return found;
    throw new CheckpointError(file, { key, found: String(found), wanted: 'a number of heads' });
  };
  const query = count(`${architecture}.attention.head_count`);
  const keyValue = count(`${architecture}.attention.head_count_kv`, query);
  return (name) => {
    if (/\.attn_q\./.test(name)) return query;
    return /\.attn_k\./.test(name) ? keyValue : undefined;
  };
}
