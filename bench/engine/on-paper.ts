/**
 * What a large GPU should give, by arithmetic alone: the bounds of a decode step of a decoder with
 * two experts, and what this engine would add to them. docs/performance.md shows the table. Bytes
 * and operations follow from the model's shape; the GPU's numbers are its maker's.
 */

/** A GPU by its data sheet. */
export type Gpu = {
  /** Bytes a second from its own memory. */
  memory: number;
  /** Dense f16 operations a second in its tensor cores. */
  flops: number;
  /** Bytes a second to or from the host, in one direction. */
  bus: number;
};

/**
 * https://www.nvidia.com/en-us/data-center/h200/: 4.8 TB/s; 1,979 TFLOP/s of f16 with sparsity,
 * half of that dense; PCIe Gen5 with 128 GB/s, which counts both directions.
 */
export const H200: Gpu = { memory: 4.8e12, flops: 989e12, bus: 64e9 };

export type Decoder = {
  layers: number;
  d: number;
  heads: number;
  keyHeads: number;
  headDim: number;
  ffn: number;
  vocab: number;
  /** Bytes of a weight and of a key or value on the GPU. */
  elementBytes: number;
};

/** https://huggingface.co/meta-llama/Meta-Llama-3-8B/blob/main/config.json, in f16. */
export const LLAMA_3_8B: Decoder = {
  ...{ layers: 32, d: 4096, heads: 32, keyHeads: 8, headDim: 128, ffn: 14_336, vocab: 128_256 },
  elementBytes: 2,
};

/** Keys and values in our slabs are f32, whatever the GPU uses. */
const HOST_ELEMENT_BYTES = 4;
/** Of the serving graph, in onnxruntime's profile; a kernel each, or nearly. */
const NODES_PER_LAYER = 32;
/**
 * https://developer.nvidia.com/blog/cuda-graphs/: 3.8 microseconds for a kernel of 2.9, launched
 * one after the other without waiting.
 */
const LAUNCH_SECONDS = 3.8e-6;

/** Weights that a step multiplies with: all but the embedding, of which it reads a row a token. */
export function multipliedWeights({ layers, d, heads, keyHeads, headDim, ffn, vocab }: Decoder): number {
  const attention = 2 * d * heads * headDim + 2 * d * keyHeads * headDim;
  return layers * (attention + 3 * d * ffn) + d * vocab;
}

/** Numbers in one token's keys and values. */
export function keysAndValues({ layers, keyHeads, headDim }: Decoder): number {
  return 2 * layers * keyHeads * headDim;
}

export type StepOnPaper = {
  /** Sequences: one an answer and expert. */
  rows: number;
  /** Bytes that the GPU reads: all weights once, and every row's own keys and values. */
  weightBytes: number;
  keyBytes: number;
  /** Seconds to read them, and to do the arithmetic. The longer one bounds a step. */
  reading: number;
  arithmetic: number;
  /** Tokens a second of all answers, by that bound. */
  tokensPerSecond: number;
  /** Seconds that keys and values take over the bus if the host keeps them, once a step. */
  keysOverBus: number;
  /** Seconds that the rows of logits take to the host, where the gate is. */
  logitsOverBus: number;
  /** Seconds to launch the graph's kernels one by one. */
  launches: number;
};

/** A step in which each answer gets a token. Every row is `past` tokens long. */
export function stepOnPaper(
  { gpu, model }: { gpu: Gpu; model: Decoder },
  { answers, experts, past }: { answers: number; experts: 1 | 2; past: number },
): StepOnPaper {
  const rows = answers * experts;
  const weightBytes = multipliedWeights(model) * model.elementBytes;
  const perRow = keysAndValues(model) * past;
  const keyBytes = rows * perRow * model.elementBytes;
  const reading = (weightBytes + keyBytes) / gpu.memory;
  // Products with weights, then queries with keys and probabilities with values.
  const flops = rows * (2 * multipliedWeights(model) + 4 * past * model.layers * model.heads * model.headDim);
  const arithmetic = flops / gpu.flops;
  return {
    rows,
    weightBytes,
    keyBytes,
    reading,
    arithmetic,
    tokensPerSecond: answers / Math.max(reading, arithmetic),
    keysOverBus: (rows * perRow * HOST_ELEMENT_BYTES) / gpu.bus,
    logitsOverBus: (rows * model.vocab * 4) / gpu.bus,
    launches: NODES_PER_LAYER * model.layers * LAUNCH_SECONDS,
  };
}

/** The rows from which on arithmetic takes longer than reading the weights. */
export function rowsToComputeBound({ gpu, model }: { gpu: Gpu; model: Decoder }): number {
  return Math.ceil((model.elementBytes / 2) * (gpu.flops / gpu.memory));
}

const PAST = 1024;

/** The table of the docs, in Markdown. */
export function paperTable(): string {
  const on = { gpu: H200, model: LLAMA_3_8B };
  const ms = (seconds: number) => `${(1000 * seconds).toPrecision(3)} ms`;
  const lines = [1, 8, 64].map((answers) => {
    const two = stepOnPaper(on, { answers, experts: 2, past: PAST });
    const one = stepOnPaper(on, { answers, experts: 1, past: PAST });
    return [
      answers,
      two.rows,
      `${(two.weightBytes / 1e9).toFixed(1)} + ${(two.keyBytes / 1e9).toFixed(2)} GB`,
      ms(two.reading),
      ms(two.arithmetic),
      `**${Math.round(two.tokensPerSecond).toLocaleString('en')}**`,
      (one.tokensPerSecond / two.tokensPerSecond).toFixed(2),
      ms(two.keysOverBus),
      ms(two.logitsOverBus),
      ms(two.launches),
    ].join(' | ');
  });
  return [
    '| answers | rows | read a step: weights + keys and values | reading | arithmetic | tokens/s, at most | two experts / one | keys and values over PCIe | logits over PCIe | launches |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...lines.map((line) => `| ${line} |`),
  ].join('\n');
}
