/**
 * The bundle that ships, asked as a backend serves it: with its own sampling, its experts' prompts
 * and its probe's second look at each question.
 */
import { openBundle } from '#gpu-backend/model/load-bundle.ts';
import { type RenderedRows, renderRows } from '#gpu-backend/model/render-rows.ts';
import { PLAIN_SAMPLING } from '#shared/api/sampling.ts';
import type { Message } from '#shared/protocol/generate.ts';
import type { Served } from '../../methods/run-source.ts';

export type Shipped = {
  dir: string;
  /** SHA-256 over its files, in hex. */
  digest: string;
  /** The command of `train` that made it; null if it does not name one. */
  madeBy: string | null;
  /** Whether it has a probe. Without one, its lines are not tightened. */
  looks: boolean;
  served: Served;
  sampling: { temperature: number; topP: number };
  /** What each expert reads of a question, and what the second look reads. */
  encode: (messages: readonly Message[]) => RenderedRows;
};

/**
 * Throws a BundleError, naming file and key, if the folder holds no sound bundle, and an Error if
 * it samples in a way that the other methods of a study cannot.
 */
export async function openShipped(dir: string): Promise<Shipped> {
  const { digest, probe, manifest, sampling, renderChat, readChat, prompts } = await openBundle(dir);
  const { default_weight, router } = manifest;
  for (const key of ['top_k', 'min_p', 'repetition_penalty'] as const) {
    if (sampling[key] === PLAIN_SAMPLING[key]) continue;
    throw new Error(`${dir}: sampling.${key}: found ${sampling[key]}, a study draws with ${PLAIN_SAMPLING[key]} alone`);
  }
  return {
    dir,
    digest,
    madeBy: /^npx plimsoll train [^,]+/.exec(manifest.provenance.description)?.[0] ?? null,
    looks: probe !== null,
    served: {
      defaultWeight: default_weight,
      routers: (['layers', 'logits'] as const).filter((kind) => router?.[kind] !== undefined),
    },
    sampling: { temperature: sampling.temperature, topP: sampling.top_p },
    encode: (messages) => renderRows(messages, { renderChat, prompts, ...(probe && { readChat }) }),
  };
}
