/**
 * A score head on the base: one number for a whole conversation, read from the hidden state of its
 * last token. With LoRA, the base learns to provide what the head needs. There are two uses (Dai et
 * al., "Safe RLHF", arXiv 2310.12773, section 3.1):
 *
 *   reward    L = - mean log sigma(r_w - r_l)
 *             Bradley and Terry; w is the more helpful answer
 *   cost      L = - mean log sigma(c_l - c_w) - mean log sigma(sign * c)
 *             w is the safer answer; sign is +1 for unsafe, -1 for safe
 *
 * The cost's second term puts zero between safe and unsafe, as `rank` needs it. Its mean is over
 * the answers with a safety label.
 */
import { Graph, type Value } from '#gpu-backend/graph/graph.ts';
import { add, gatherPositions, matmul, mul, neg, reduceSum, reshape, softplus } from '#gpu-backend/graph/ops.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import type { LoraExperts } from '#gpu-backend/model/decoder.ts';
import { type FrozenBase, frozenWeights } from './frozen-weights.ts';
import { type GradientOptions, gradientOutputs } from './gradient-outputs.ts';
import { loraShapes, parameterInputs, type Targets, trainedLora } from './lora.ts';
import { chosenMinusRejected, mean } from './preference-loss.ts';
import { ANY_BATCH, type GraphBatch, modelHidden } from './training-inputs.ts';

export type ScoreKind = 'reward' | 'cost';

export type ScoreHeadOptions = {
  base: FrozenBase;
  /** With 0 there is no LoRA, and only the head is trained. */
  rank: number;
  loraScale: number;
  /** The modules with LoRA; `mlp.down_proj` by default. */
  targets?: Targets;
  batch?: GraphBatch;
};

/** The trained tensors: the LoRA of `loraShapes`, `head.weight [d, 1]` and `head.bias [1]`. */
export function scoreShapes(config: DecoderConfig, rank: number, targets?: Targets): Map<string, number[]> {
  const lora = rank === 0 ? [] : loraShapes(config, rank, targets);
  return new Map([...lora, ['head.weight', [config.hidden_size, 1]], ['head.bias', [1]]]);
}

/**
 * Inputs: `ids [B, T]`, `last [B]` (the place of each row's last token) and the parameters. Output:
 * `scores [B]`.
 */
export function buildScoringGraph(config: DecoderConfig, options: ScoreHeadOptions): Uint8Array {
  const { graph, states, parameters } = scoreHead('plimsoll-scoring', config, options);
  graph.output('scores', scoresOf(states, parameters));
  return graph.toModel();
}

/**
 * Takes the inputs of `buildScoringGraph` and, for kind `cost`, two more: `signs [2N]` and
 * `sign_weights [2N]`, which sum to 1 over the labelled answers or are all 0. A batch holds the N
 * chosen answers first. Outputs: `loss`, `scores [2N]`, `grad.<name>`.
 */
export function buildScoreTrainingGraph(
  config: DecoderConfig,
  { kind, scoresToo = false, ...options }: ScoreHeadOptions & GradientOptions & { kind: ScoreKind },
): Uint8Array {
  const { graph, states, parameters } = scoreHead(`plimsoll-${kind}`, config, options);
  return withLoss(graph, states, { kind, scoresToo, parameters });
}

/**
 * Inputs: `ids` and `last` as above. Output: `states [B, d]`, the base's own hidden states of the
 * last tokens. A head without LoRA learns from these alone, so they are computed once.
 */
export function buildStatesGraph(
  config: DecoderConfig,
  { base, batch }: Pick<ScoreHeadOptions, 'base' | 'batch'>,
): Uint8Array {
  const graph = new Graph('plimsoll-states');
  const states = lastStates(graph, config, { base, lora: null, shape: batch ?? ANY_BATCH });
  graph.output('states', states);
  return graph.toModel();
}

/**
 * Like `buildScoreTrainingGraph` for rank 0, with the input `states [2N, d]` in place of tokens.
 */
export function buildHeadTrainingGraph(
  config: DecoderConfig,
  { kind, scoresToo = false, batch = ANY_BATCH }: GradientOptions & { kind: ScoreKind; batch?: GraphBatch },
): Uint8Array {
  const graph = new Graph(`plimsoll-${kind}-head`);
  const states = graph.input('states', 'float', [batch.rows, config.hidden_size]);
  return withLoss(graph, states, { kind, scoresToo, parameters: parameterInputs(graph, scoreShapes(config, 0)) });
}

function withLoss(
  graph: Graph,
  states: Value,
  { kind, scoresToo, parameters }: { kind: ScoreKind; scoresToo: boolean; parameters: ReadonlyMap<string, Value> },
): Uint8Array {
  const scores = scoresOf(states, parameters);
  const ahead = chosenMinusRejected(scores);
  const preference = mean(softplus(kind === 'reward' ? neg(ahead) : ahead));
  const loss = kind === 'reward' ? preference : add(preference, signLoss(graph, scores));
  graph.output('loss', loss);
  graph.output('scores', scores);
  gradientOutputs(graph, loss, { scoresToo, parameters });
  return graph.toModel();
}

function signLoss(graph: Graph, scores: Value): Value {
  const signs = graph.input('signs', 'float', scores.shape);
  const weights = graph.input('sign_weights', 'float', scores.shape);
  return reduceSum(mul(weights, softplus(neg(mul(signs, scores)))), [0], { keepDims: true });
}

/** `[B, d]` to `[B]` */
function scoresOf(states: Value, parameters: ReadonlyMap<string, Value>): Value {
  return reshape(add(matmul(states, parameters.get('head.weight')!), parameters.get('head.bias')!), [-1]);
}

function scoreHead(
  name: string,
  config: DecoderConfig,
  { base, rank, loraScale, targets, batch: shape = ANY_BATCH }: ScoreHeadOptions,
) {
  const graph = new Graph(name);
  const parameters = parameterInputs(graph, scoreShapes(config, rank, targets));
  const states = lastStates(graph, config, { base, lora: trainedLora(parameters, loraScale), shape });
  return { graph, parameters, states };
}

/** The hidden states of the rows' last tokens, `[B, d]`. */
function lastStates(
  graph: Graph,
  config: DecoderConfig,
  { base, lora, shape }: { base: FrozenBase; lora: LoraExperts | null; shape: GraphBatch },
): Value {
  const { rows, length } = shape;
  const ids = graph.input('ids', 'int64', [rows, length]);
  const last = graph.input('last', 'int64', [rows]);
  const weights = frozenWeights(graph, config, base);
  return gatherPositions(modelHidden({ config, weights, lora, batch: { ids }, shape }), last);
}
