/**
 * The sessions of a bundle on onnxruntime. If the bundle's weights are multiplied differently for
 * prompts and answers, each has a session of its own. A run is one or the other.
 */
import { GraphSession, type SessionOptions } from '../graph/session.ts';
import { buildServingGraph } from '../model/serving-graph.ts';
import type { BatchOptions } from './batch-feeds.ts';
import { DevicePast } from './device-past.ts';
import { isMixed, type ServableBundle, servingWeights } from './serving-weights.ts';

/** The session that reads prompts, and the one that reads answers. */
export type ReadSessions = Record<'prompt' | 'answer', GraphSession>;

export type OpenSessionsOptions = Omit<SessionOptions, 'weightsFolder' | 'spinning' | 'onDevice'> & {
  /**
   * Leaves keys and values where they were computed, from run to run (device-past.ts). The default
   * is to do so on WebGPU alone: only there is it another place than the slab's.
   */
  keepsPast?: boolean;
};

export type OpenSessions = {
  /** The same one twice, unless prompts and answers are multiplied differently. */
  sessions: ReadSessions;
  /** What bounds the gates of their graph. */
  gates: BatchOptions['gates'];
  /** What the session that reads answers leaves on the device; null if every run is fed. */
  onDevice: DevicePast | null;
};

/** Opens what the bundle needs. Throws a ProviderError if the provider cannot run here. */
export async function openSessions(
  bundle: ServableBundle,
  { keepsPast, ...options }: OpenSessionsOptions,
): Promise<OpenSessions> {
  const { config } = bundle;
  const { provider } = options;
  const { lora } = servingWeights(bundle, { provider });
  const gates = lora === null ? 'none' : lora.router === null ? 'fixed' : 'routed';
  const inFile = 'base' in bundle && { weightsFolder: bundle.base.folder };
  const onDevice = (keepsPast ?? provider === 'webgpu') ? new DevicePast({ layers: config.num_hidden_layers }) : null;
  const sessionFor = (reads: 'prompt' | 'answer') => {
    const { base } = servingWeights(bundle, { provider, reads });
    const kept = reads === 'answer' && onDevice !== null ? onDevice.names.map(({ next }) => next) : [];
    // On WebGPU, only plain products run on the device.
    const model = buildServingGraph(
      config,
      { base, lora },
      { strided: provider !== 'webgpu', nextPast: kept.length > 0, sumLayers: sumLayersOf(bundle) },
    );
    return GraphSession.create(model, { ...options, ...inFile, onDevice: kept, spinning: reads === 'answer' });
  };
  const answer = await sessionFor('answer');
  try {
    const prompt = isMixed(bundle) ? await sessionFor('prompt') : answer;
    return { sessions: { prompt, answer }, gates, onDevice };
  } catch (thrown) {
    await answer.release();
    throw thrown;
  }
}

/** Whose states the graph sums: those that the bundle's probe reads. */
export const sumLayersOf = ({ probe }: ServableBundle): readonly number[] => probe?.head.layers ?? [];
