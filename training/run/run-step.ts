/**
 * One update's batches. With several, the gradients are averaged by weight, so that an update sees
 * as many pairs as one large batch would, at the memory of a small one. It is the same update only
 * if a loss is a mean over what the weight counts, as DPO's over pairs and sft's over tokens. The
 * likelihood term, the sign term of the cost and the routers' regulariser are means over tokens or
 * labelled answers, but their batches count by their pairs, too.
 */
import type { Feed } from '#gpu-backend/graph/session.ts';
import type { Parameters } from '../optim/adamw.ts';

export type StepBatch = {
  /** Runs one batch. It gets `feeds` together with the parameters. */
  run: (feeds: Record<string, Feed>) => Promise<Record<string, Float32Array>>;
  feeds: Record<string, Feed>;
  tokens: number;
  /**
   * How much the batch counts among the batches of its update, such as the number of its pairs; 1
   * by default.
   */
  weight?: number;
  /** Says which batch this was, for errors. */
  label: string;
};

export type StepResult = {
  loss: number;
  gradients: Map<string, Float32Array>;
  /** Whatever else `figures` made of the outputs, averaged like the loss. */
  figures: Record<string, number>;
  tokens: number;
  label: string;
  /** False if a batch had a shape for the first time. The first one of all makes the session. */
  warm: boolean;
};

/** Shapes that have run before. */
export type SeenShapes = Set<string>;

/**
 * Runs the batches and averages what they give. Calls `check` with each batch's loss and gradients
 * before they are added up, so that it can tell which batch is at fault.
 */
export async function runStep(
  numbers: readonly number[],
  {
    batchAt,
    parameters,
    figures = () => ({}),
    seen,
    check,
  }: {
    batchAt: (number: number) => StepBatch | Promise<StepBatch>;
    parameters: Parameters;
    figures?: ((outputs: Record<string, Float32Array>) => Record<string, number>) | undefined;
    seen: SeenShapes;
    check: (batch: { loss: number; gradients: ReadonlyMap<string, Float32Array>; label: string }) => void;
  },
): Promise<StepResult> {
  const sum: StepResult = { loss: 0, gradients: new Map(), figures: {}, tokens: 0, label: '', warm: true };
  const labels: string[] = [];
  let total = 0;
  for (const number of numbers) {
    const batch = await batchAt(number);
    const { label, tokens, weight = 1 } = batch;
    const shape = Object.values(batch.feeds)[0]?.dims.join('x') ?? '';
    if (!seen.has(shape)) sum.warm = false;
    seen.add(shape);
    const outputs = await batch.run({ ...batch.feeds, ...parameterFeeds(parameters) });
    const gradients = new Map([...parameters.keys()].map((name) => [name, outputs[`grad.${name}`]!]));
    const loss = outputs.loss![0]!;
    check({ loss, gradients, label });
    const share = numbers.length === 1 ? 1 : weight;
    sum.loss += share * loss;
    addGradients(sum.gradients, gradients, share);
    for (const [name, value] of Object.entries(figures(outputs))) {
      sum.figures[name] = (sum.figures[name] ?? 0) + share * value;
    }
    sum.tokens += tokens;
    total += share;
    labels.push(label);
  }
  sum.label = labels.join('; ');
  // A single batch is left as it is, to the last bit.
  if (numbers.length === 1) return sum;
  sum.loss /= total;
  for (const values of sum.gradients.values()) for (let i = 0; i < values.length; i++) values[i]! /= total;
  for (const name of Object.keys(sum.figures)) sum.figures[name]! /= total;
  return sum;
}

/** Outputs are fresh copies, so the first batch's arrays can hold the sum. */
function addGradients(
  sum: Map<string, Float32Array>,
  gradients: ReadonlyMap<string, Float32Array>,
  share: number,
): void {
  for (const [name, values] of gradients) {
    const before = sum.get(name);
    if (before === undefined) {
      if (share !== 1) for (let i = 0; i < values.length; i++) values[i]! *= share;
      sum.set(name, values);
    } else {
      for (let i = 0; i < values.length; i++) before[i]! += share * values[i]!;
    }
  }
}

export function parameterFeeds(parameters: Parameters): Record<string, Feed> {
  return Object.fromEntries([...parameters].map(([name, { shape, data }]) => [name, { dims: shape, data }]));
}
