/**
 * Logistic regressions over pooled states, fitted on all rows at once. The loss is convex, and with
 * a pull towards 0 it has one optimum; AdamW with a falling step comes close enough to it.
 */
import { GraphSession } from '#gpu-backend/graph/session.ts';
import { AdamW, learningRateAt } from '#training/optim/adamw.ts';
import { buildFitGraph, type FitShape, fitShapes } from './fit-graph.ts';

/** `[rows, width]`, standardised. */
export type Block = { width: number; data: Float32Array };

/** One regression. */
export type Column = {
  /** 0 to 1, or null where the row says nothing about it. One per row. */
  targets: readonly (number | null)[];
  /** How much each row counts, at least 0. */
  weights: readonly number[];
  /** For a loss that is a mean over the rows' weights. */
  l2: number;
};

export type Fitted = {
  /** Per block, `[width]`. */
  weight: Float32Array[];
  bias: number;
};

export type FitOptions = {
  steps: number;
  learningRate: number;
  threads?: number;
  onStep?: (step: number, loss: number) => void;
};

/** Throws if a column has no row with a target, because nothing can be learned from that. */
export async function fitLogistic(
  blocks: readonly Block[],
  columns: readonly Column[],
  { steps, learningRate, threads = 0, onStep = () => {} }: FitOptions,
): Promise<{ fitted: Fitted[]; loss: number; gradientNorm: number }> {
  const rows = columns[0]?.targets.length ?? 0;
  const shape: FitShape = { rows, widths: blocks.map(({ width }) => width), columns: columns.length };
  const feeds = {
    ...Object.fromEntries(blocks.map(({ width, data }, i) => [`x.${i}`, { dims: [rows, width], data }])),
    ...columnFeeds(columns, rows),
  };
  const parameters = new Map(
    [...fitShapes(shape)].map(([name, dims]) => [
      name,
      { shape: dims, data: new Float32Array(dims.reduce((a, b) => a * b, 1)) },
    ]),
  );
  parameters.get('bias')!.data.set(columns.map(baseRate));
  const session = await GraphSession.create(buildFitGraph(shape), { threads });
  try {
    const optimizer = await AdamW.create(parameters, { beta2: 0.99, clipNorm: Number.POSITIVE_INFINITY });
    const schedule = { peak: learningRate, warmupSteps: Math.ceil(steps / 20), totalSteps: steps, floor: 0.01 };
    let [loss, gradientNorm] = [Number.NaN, Number.NaN];
    for (let step = 1; step <= steps; step++) {
      const outputs = await session.run({
        ...feeds,
        ...Object.fromEntries([...parameters].map(([name, { shape: dims, data }]) => [name, { dims, data }])),
      });
      loss = outputs.loss![0]!;
      const found = new Map([...parameters.keys()].map((name) => [name, outputs[`grad.${name}`]!]));
      gradientNorm = optimizer.step(found, { step, learningRate: learningRateAt(step, schedule) });
      onStep(step, loss);
    }
    return { fitted: columns.map((_, k) => columnOf(parameters, { k, shape })), loss, gradientNorm };
  } finally {
    await session.release();
  }
}

function columnFeeds(columns: readonly Column[], rows: number) {
  const targets = new Float32Array(rows * columns.length);
  const shares = new Float32Array(rows * columns.length);
  for (const [k, column] of columns.entries()) {
    const total = knownWeight(column);
    if (total === 0) throw new Error(`regression ${k}: found no row with a target`);
    for (let i = 0; i < rows; i++) {
      targets[i * columns.length + k] = column.targets[i] ?? 0;
      shares[i * columns.length + k] = column.targets[i] === null ? 0 : column.weights[i]! / total;
    }
  }
  const dims = [rows, columns.length];
  const l2 = Float32Array.from(columns, (column) => column.l2);
  return {
    targets: { dims, data: targets },
    shares: { dims, data: shares },
    l2: { dims: [columns.length], data: l2 },
  };
}

function knownWeight({ targets, weights }: Column): number {
  return targets.reduce<number>((sum, target, i) => (target === null ? sum : sum + weights[i]!), 0);
}

/** The log-odds of how often the target is true, pulled in a little so that it is finite. */
function baseRate(column: Column): number {
  const positive = column.targets.reduce<number>((sum, target, i) => sum + (target ?? 0) * column.weights[i]!, 0);
  const share = positive / knownWeight(column);
  return Math.log((share + 1e-3) / (1 - share + 1e-3));
}

function columnOf(
  parameters: ReadonlyMap<string, { data: Float32Array }>,
  { k, shape: { widths, columns } }: { k: number; shape: FitShape },
): Fitted {
  const weight = widths.map((width, i) => {
    const { data } = parameters.get(`weight.${i}`)!;
    return Float32Array.from({ length: width }, (_, at) => data[at * columns + k]!);
  });
  return { weight, bias: parameters.get('bias')!.data[k]! };
}
