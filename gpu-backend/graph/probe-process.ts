/**
 * Tries one provider with a small graph and tells the outcome to its parent, choose-provider.ts.
 * It is a process of its own, because a broken driver can take its process down.
 */
import './no-telemetry.ts';
import type { Outcome } from './choose-provider.ts';
import { Graph } from './graph.ts';
import { matmul } from './ops.ts';
import { Provider, ProviderError } from './provider.ts';
import { isRealGpu, look } from './real-gpu.ts';

async function tryProvider(provider: Provider): Promise<Outcome> {
  // Loading onnxruntime may fail too.
  const { float32, GraphSession } = await import('./session.ts');
  const graph = new Graph('probe');
  const x = graph.input('x', 'float', [2, 2]);
  graph.output('y', matmul(x, x));
  const session = await GraphSession.create(graph.toModel(), { provider, threads: 1 });
  const { y } = await session.run({ x: float32([2, 2], Float32Array.of(1, 2, 3, 4)) });
  if (String(y) !== '7,10,15,22') throw new Error(`[1 2; 3 4] squared came out as ${y}, in place of 7,10,15,22.`);
  const realGpu = provider === 'cuda' || (provider === 'webgpu' && isRealGpu(look()));
  await session.release();
  return { works: true, realGpu };
}

const provider = Provider.parse(process.argv[2]);
const outcome = await tryProvider(provider).catch((thrown: Error): Outcome => {
  const error = thrown instanceof ProviderError ? thrown : new ProviderError(provider, thrown.message);
  return { works: false, why: error.message };
});
process.send!(outcome);
process.disconnect();
