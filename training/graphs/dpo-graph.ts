/**
 * Direct preference optimisation (Rafailov et al., arXiv 2305.18290, eq. 7) of one LoRA expert on a frozen base:
 *
 *   loss = - mean log sigma( beta * ((log pi(y_w) - log ref(y_w)) - (log pi(y_l) - log ref(y_l))) )
 *
 * With `nllWeight` the mean negative log-probability of a chosen token is added to it (Pang et al., arXiv 2404.19733): DPO only asks that
 * chosen answers gain *on* rejected ones, and a small model meets that by making both unlikely and its own text garbled.
 *
 * A batch holds the N chosen answers first, then the N rejected ones. The reference's log-probabilities do not change, so
 * they are computed once (`buildScoreGraph`) and fed.
 */
import { Graph, type Value } from '#gpu-backend/graph/graph.ts';
import { add, div, neg, reduceSum, scale, slice, softplus, sub } from '#gpu-backend/graph/ops.ts';
import type { LlamaConfig } from '#gpu-backend/model/config.ts';
import type { KernelTensor } from '#gpu-backend/model/decoder.ts';
import { gradients } from '../autodiff/gradients.ts';
import { type BatchShape, loraShapes, modelLogprobs, sequenceLogprobs, tokenBatch } from './training-inputs.ts';

export type ExpertGraphOptions = {
  base: ReadonlyMap<string, KernelTensor>;
  rank: number;
  /** alpha / r, the same in training and serving. */
  loraScale: number;
  batch: BatchShape;
};

/**
 * Inputs: the token batch `[2N, T]`, `reference [2N]` (log-probabilities in nats), `lora.{l}.a`, `lora.{l}.b`. Outputs: `loss`;
 * its parts `dpo` and `nll`; `logprobs [2N]`; `delta [N]`, the log-ratio difference that beta multiplies; `grad.<name>`.
 */
export function buildDpoGraph(
  config: LlamaConfig,
  options: ExpertGraphOptions & { beta: number; nllWeight: number },
): Uint8Array {
  const pairs = options.batch.rows / 2;
  if (!Number.isInteger(pairs))
    throw new Error(`a preference batch needs an even number of rows, not ${options.batch.rows}`);
  const { graph, logprobs, parameters, batch } = expertLogprobs('plimsoll-dpo', config, options);
  const reference = graph.input('reference', 'float', [options.batch.rows]);
  const ratios = sub(logprobs, reference);
  const delta = sub(slice(ratios, 0, 0, pairs), slice(ratios, 0, pairs, 2 * pairs)); // [N]
  // -log sigma(x) = softplus(-x), which does not overflow.
  const dpo = scale(reduceSum(softplus(neg(scale(delta, options.beta))), [0], { keepDims: true }), 1 / pairs);
  const ofChosen = (rows: Value) => slice(rows, 0, 0, pairs);
  const tokens = reduceSum(ofChosen(batch.weights), [0, 1]);
  const nll = neg(div(reduceSum(ofChosen(logprobs), [0], { keepDims: true }), tokens));
  const loss = options.nllWeight === 0 ? dpo : add(dpo, scale(nll, options.nllWeight));
  graph.output('loss', loss);
  graph.output('dpo', dpo);
  graph.output('nll', nll);
  graph.output('logprobs', logprobs);
  graph.output('delta', delta);
  const names = [...parameters.keys()];
  gradients(graph, loss, [...parameters.values()]).forEach((gradient, i) => {
    graph.output(`grad.${names[i]}`, gradient);
  });
  return graph.toModel();
}

/** The forward half alone: `logprobs [B]` of each row under the base with the LoRA that is fed (zeros: the base itself). */
export function buildScoreGraph(config: LlamaConfig, options: ExpertGraphOptions): Uint8Array {
  const { graph, logprobs } = expertLogprobs('plimsoll-score', config, options);
  graph.output('logprobs', logprobs);
  return graph.toModel();
}

function expertLogprobs(
  name: string,
  config: LlamaConfig,
  { base, rank, loraScale, batch: shape }: ExpertGraphOptions,
) {
  const graph = new Graph(name);
  const batch = tokenBatch(graph, shape);
  const stored = new Map<string, Value>();
  const weights = (weight: string) => {
    const tensor = base.get(weight);
    if (tensor === undefined) throw new Error(`the base lacks the weight "${weight}"`);
    const value = stored.get(weight) ?? graph.initializer(weight, 'float', tensor.shape, tensor.data);
    stored.set(weight, value);
    return value;
  };
  const parameters = new Map<string, Value>();
  for (const [parameter, dims] of loraShapes(config, rank)) {
    parameters.set(parameter, graph.input(parameter, 'float', dims));
  }
  const lora = {
    gates: null,
    a: (layer: number) => parameters.get(`lora.${layer}.a`)!,
    b: (layer: number) => scale(parameters.get(`lora.${layer}.b`)!, loraScale),
  };
  const perToken = modelLogprobs(graph, { config, weights, lora, batch, shape });
  return { graph, parameters, batch, logprobs: sequenceLogprobs(perToken, batch) };
}
