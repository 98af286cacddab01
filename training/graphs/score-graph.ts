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
import {
  add,
  gatherPositions,
  matmul,
  mul,
  neg,
  reduceSum,
  reshape,
  scale,
  slice,
  softplus,
  sub,
} from '#gpu-backend/graph/ops.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { gradients } from '../autodiff/gradients.ts';
import { type FrozenWeights, frozenWeights } from './frozen-weights.ts';
import { type BatchShape, loraShapes, modelHidden, onDownProj } from './training-inputs.ts';

export type ScoreKind = 'reward' | 'cost';

export type ScoreHeadOptions = { base: FrozenWeights; rank: number; loraScale: number; batch: BatchShape };

/** The trained tensors: the LoRA of `loraShapes`, `head.weight [d, 1]` and `head.bias [1]`. */
export function scoreShapes(config: DecoderConfig, rank: number): Map<string, number[]> {
  return new Map([...loraShapes(config, rank), ['head.weight', [config.hidden_size, 1]], ['head.bias', [1]]]);
}

/**
 * Inputs: `ids [B, T]`, `last [B]` (the place of each row's last token) and the parameters. Output:
 * `scores [B]`.
 */
export function buildScoringGraph(config: DecoderConfig, options: ScoreHeadOptions): Uint8Array {
  const { graph, scores } = scoreHead('plimsoll-scoring', config, options);
  graph.output('scores', scores);
  return graph.toModel();
}

/**
 * Takes the inputs of `buildScoringGraph` and, for kind `cost`, two more: `signs [2N]` and
 * `sign_weights [2N]`, which sum to 1 over the labelled answers or are all 0. A batch holds the N
 * chosen answers first. Outputs: `loss`, `scores [2N]`, `grad.<name>`.
 */
export function buildScoreTrainingGraph(
  config: DecoderConfig,
  { kind, ...options }: ScoreHeadOptions & { kind: ScoreKind },
): Uint8Array {
  const { rows } = options.batch;
  const { graph, scores, parameters } = scoreHead(`plimsoll-${kind}`, config, options);
  const [ofChosen, ofRejected] = [slice(scores, 0, 0, rows / 2), slice(scores, 0, rows / 2, rows)];
  const gap = kind === 'reward' ? sub(ofChosen, ofRejected) : sub(ofRejected, ofChosen);
  const preference = scale(reduceSum(softplus(neg(gap)), [0], { keepDims: true }), 2 / rows);
  const loss = kind === 'reward' ? preference : add(preference, signLoss(graph, scores, rows));
  graph.output('loss', loss);
  graph.output('scores', scores);
  const names = [...parameters.keys()];
  gradients(graph, loss, [...parameters.values()]).forEach((gradient, i) => {
    graph.output(`grad.${names[i]}`, gradient);
  });
  return graph.toModel();
}

function signLoss(graph: Graph, scores: Value, rows: number): Value {
  const signs = graph.input('signs', 'float', [rows]);
  const weights = graph.input('sign_weights', 'float', [rows]);
  return reduceSum(mul(weights, softplus(neg(mul(signs, scores)))), [0], { keepDims: true });
}

function scoreHead(name: string, config: DecoderConfig, { base, rank, loraScale, batch: shape }: ScoreHeadOptions) {
  const graph = new Graph(name);
  const { rows, length } = shape;
  const ids = graph.input('ids', 'int64', [rows, length]);
  const last = graph.input('last', 'int64', [rows]);
  const parameters = new Map<string, Value>();
  for (const [parameter, dims] of scoreShapes(config, rank))
    parameters.set(parameter, graph.input(parameter, 'float', dims));
  const lora = onDownProj(({ layer }) => ({
    a: parameters.get(`lora.${layer}.a`)!,
    b: scale(parameters.get(`lora.${layer}.b`)!, loraScale),
    gates: null,
  }));
  const hidden = modelHidden(graph, {
    config,
    weights: frozenWeights(graph, config, base),
    lora,
    batch: { ids },
    shape,
  });
  const states = gatherPositions(hidden, last); // [B, d]
  // [B]
  const scores = reshape(add(matmul(states, parameters.get('head.weight')!), parameters.get('head.bias')!), [rows]);
  return { graph, parameters, scores };
}
