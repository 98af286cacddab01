/** The real model that a stack serves beside the demo, if it can be had while the stack starts. */
import { Hub, PUBLIC_HUB } from '#gpu-backend/download/hub.ts';
import { patient } from '#gpu-backend/download/retry.ts';
import { findBlob } from '#gpu-backend/model/blob-store.ts';
import { cacheFolder } from '#gpu-backend/model/cache-folder.ts';
import { KNOWN_MODELS } from '#gpu-backend/pull/known-models.ts';
import { findBundle, type PullBundleOptions, type PulledBundle, pullBundle } from '#gpu-backend/pull/pull-bundle.ts';
import { PullError } from '#gpu-backend/pull/pull-known-model.ts';
import { byteProgress, megabytes } from '../options/byte-progress.ts';
import { importProgress } from '../options/import-progress.ts';

export const KNOWN_BUNDLE = 'smollm2-135m-instruct';
/** Nobody should wait longer than this for a model that they did not ask for. */
const PATIENCE_MS = 60_000;

export type KnownBundleOptions = {
  env: { PLIMSOLL_CACHE?: string | undefined };
  /** Whether it may be fetched. If not, only the cache is looked at. */
  pull: boolean;
  /** Ends the pull; then the promise rejects with its reason. */
  signal: AbortSignal;
  log: (message: string) => void;
  patienceMs?: number;
  /** Where it comes from, if not from where `pullBundle` looks. */
  sources?: Pick<PullBundleOptions, 'models' | 'python' | 'from'>;
  name?: string;
};

/** `trained` is false if its safety expert is only a prompt. */
export type KnownBundle = Pick<PulledBundle, 'dir' | 'trained'>;

/**
 * Returns the bundle, or null if there is none and none could be made in a minute. Then the log
 * says why, in one line.
 */
export async function knownBundle(options: KnownBundleOptions): Promise<KnownBundle | null> {
  const { env, pull, signal, log, patienceMs = PATIENCE_MS, sources = {}, name = KNOWN_BUNDLE } = options;
  const { models = KNOWN_MODELS } = sources;
  const cache = cacheFolder(env);
  const without = (why: string) => {
    log(`goes on without ${name}: ${why}`);
    return null;
  };
  // What is wrong with our experts for the model is no reason to start without the others.
  const found = await findBundle(name, { cache, models }).catch((error: unknown) => messageOf(error));
  if (typeof found === 'string') return without(found);
  if (found !== null) return found;
  if (!pull) return without('it is not in the cache, and this start fetches nothing');

  const { file } = models[name]!;
  const blob = await findBlob(cache, file, { signal });
  log(
    'file' in blob
      ? `importing ${name}: its file is in the cache, but no bundle that this version makes (--no-pull: without it) ...`
      : `fetching ${name}, ${megabytes(file.bytes)} MB, once (--no-pull: without it) ...`,
  );
  const late = AbortSignal.timeout(patienceMs);
  const over = AbortSignal.any([signal, late]);
  const bars = importProgress();
  try {
    const retrying = patient(over);
    const sending = { fetch, signal: over };
    return await pullBundle(name, {
      ...{ cache, retrying, sending, ...sources, models },
      hub: new Hub({ ...retrying, ...sending, endpoint: PUBLIC_HUB, token: null, kind: 'model' }),
      onFile: (file) => byteProgress(file.path, file.size),
      onImport: bars.update,
    });
  } catch (error) {
    signal.throwIfAborted();
    if (late.aborted) {
      return without(`${patienceMs / 1000} s were not enough; what is finished is kept in ${cache.dir} for next time`);
    }
    if (!(error instanceof PullError)) return without(messageOf(error));
    const causes = error.causes.map(messageOf);
    const command = `npx plimsoll model pull ${name} --from FILE`;
    return without(`it could not be fetched (${causes.join('; ')}); "${command}" takes it from a file`);
  } finally {
    bars.stop();
  }
}

const messageOf = (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown));
