/**
 * A GGUF file from which llama.cpp hands back what it dequantises. It is a Llama of one layer that
 * adds nothing, because all its matrices are zero. So the last hidden state of a single token is
 * its row of the embedding after the final norm: `y = x / sqrt(mean(x²) + 1)`. The file's epsilon
 * is 1, and not a small number, because then y still has x's scale: see `undoNorm`.
 */
import { float, ggufBytes, texts } from './make-gguf.ts';

/** A row holds one block of a K format, or eight of the others. */
export const EMBEDDING_WIDTH = 256;

/** `data` is the table `[rows, EMBEDDING_WIDTH]`, in blocks of the given type. */
export function embeddingGguf({ type, rows, data }: { type: number; rows: number; data: Uint8Array }): Buffer {
  const [d, ffn] = [EMBEDDING_WIDTH, 32];
  const filled = (name: string, shape: number[], value = 0) => ({
    name,
    type: 0,
    shape,
    data: new Uint8Array(new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(value).buffer),
  });
  return ggufBytes({
    metadata: [
      ['general.architecture', 'llama'],
      ['llama.vocab_size', rows],
      ['llama.context_length', 256],
      ['llama.embedding_length', d],
      ['llama.block_count', 1],
      ['llama.feed_forward_length', ffn],
      ['llama.attention.head_count', 4],
      ['llama.attention.layer_norm_rms_epsilon', float(1)],
      ['tokenizer.ggml.model', 'gpt2'],
      ['tokenizer.ggml.pre', 'default'],
      ['tokenizer.ggml.tokens', texts(Array.from({ length: rows }, (_, id) => `t${id}`))],
      ['tokenizer.ggml.merges', texts(['t 1'])],
      ['tokenizer.ggml.eos_token_id', 0],
      ['tokenizer.ggml.add_bos_token', { type: 7, bytes: Uint8Array.of(0) }],
      ['tokenizer.ggml.add_eos_token', { type: 7, bytes: Uint8Array.of(0) }],
    ],
    tensors: [
      { name: 'token_embd.weight', type, shape: [rows, d], data },
      filled('output.weight', [rows, d]),
      filled('output_norm.weight', [d], 1),
      filled('blk.0.attn_norm.weight', [d], 1),
      filled('blk.0.attn_q.weight', [d, d]),
      filled('blk.0.attn_k.weight', [d, d]),
      filled('blk.0.attn_v.weight', [d, d]),
      filled('blk.0.attn_output.weight', [d, d]),
      filled('blk.0.ffn_norm.weight', [d], 1),
      filled('blk.0.ffn_gate.weight', [ffn, d]),
      filled('blk.0.ffn_up.weight', [ffn, d]),
      filled('blk.0.ffn_down.weight', [d, ffn]),
    ],
  });
}

/** x from y. With m = mean(x²), mean(y²) is m / (m + 1); so m is mean(y²) / (1 - mean(y²)). */
export function undoNorm(y: Float64Array): Float64Array {
  const mean = y.reduce((sum, value) => sum + value * value, 0) / y.length;
  return y.map((value) => value * Math.sqrt(mean / (1 - mean) + 1));
}
