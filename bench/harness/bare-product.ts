/** The GEMM peak: how fast this machine multiplies matrices, with nothing around them. */
import { Graph } from '#gpu-backend/graph/graph.ts';
import { matmul, slice } from '#gpu-backend/graph/ops.ts';
import { type Feed, float32, GraphSession } from '#gpu-backend/graph/session.ts';
import { createRandom } from '#training/data/random.ts';
import { fillNormal } from '#training/stages/sft.ts';

/** `[m, k] x [k, n]` */
export type Product = { m: number; k: number; n: number };

export const SQUARE: Product = { m: 1024, k: 1024, n: 1024 };
/** Each round repeats a bare product for this much arithmetic: a fifth of a second here. */
const PEAK_FLOPS = 3e10;

/**
 * Measures the operations per second of one product by itself. It fetches only one row, because
 * every fetched output is copied.
 */
export async function bareProduct({ m, k, n }: Product, threads: number): Promise<() => Promise<number>> {
  const graph = new Graph('bare-product');
  const product = matmul(graph.input('a', 'float', [m, k]), graph.input('b', 'float', [k, n]));
  graph.output('row', slice(product, 0, 0, 1));
  const session = await GraphSession.create(graph.toModel(), { threads });
  const random = createRandom('bench/product');
  const operand = (dims: number[]): Feed => {
    const data = new Float32Array(dims[0]! * dims[1]!);
    fillNormal(data, 1, random);
    return float32(dims, data);
  };
  const feeds = { a: operand([m, k]), b: operand([k, n]) };
  const flops = 2 * m * k * n;
  const repeats = Math.ceil(PEAK_FLOPS / flops);
  return async () => {
    // Wakes the threads that slept while the other session worked. This must happen before we start
    // the clock.
    await session.run(feeds);
    const spent = await seconds(async () => {
      for (let i = 0; i < repeats; i++) await session.run(feeds);
    });
    return (repeats * flops) / spent;
  };
}

export async function seconds(run: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await run();
  return (performance.now() - startedAt) / 1000;
}
