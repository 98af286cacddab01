/**
 * The whole backend over HTTP against the model alone. `plimsoll backend` runs in its own process
 * and gives eight streams of two experts, as a deployment does: signed directives in, frames out,
 * each parsed by the client here. The model alone is the driver's `append` of the same sixteen rows
 * in a loop, after prompts of the same length.
 *
 * Written down before measuring (0.45 was found before): 0.8 to 0.9. Gate and server have some
 * milliseconds of sixty, and two cores run the client too.
 */

import { loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { call, framesOf, generateRequest } from '#gpu-backend/server/testing/backend-client.ts';
import { alternate, medianRatio } from '../../harness/measure.ts';
import { type ServedBackend, serveBackend } from '../../harness/serve-model.ts';
import { withContenders } from '../contenders.ts';
import { SAMPLED, TWO_EXPERTS } from '../drive-engine.ts';
import { storyPrompts } from '../prompts.ts';
import { type Figure, type Row, result, type Table } from '../row.ts';
import { TimedStreams } from '../timed-streams.ts';
import { tokensPerSecond } from '../token-times.ts';

const CONTEXT = 1024;
const STREAMS = 8;
/** Of an answer that is not stopped before. */
const MOST_TOKENS = 600;

export const httpRow: Row = {
  title: 'the whole backend over HTTP against the model alone',
  async run({ model, rounds, tokens, threads }) {
    const figures: Figure[] = [];
    const tables: Table[] = [];
    const [prompt] = storyPrompts(await model.head(), 1) as [number[]];
    for (const kind of ['f32', 'int4'] as const) {
      await withContenders(async (contenders) => {
        const bundle = await model.adapted(kind);
        const { id } = await loadBundleHead(bundle);
        const served = contenders.keep(await serveBackend(bundle, { model: id, context: CONTEXT, speculation: false }));
        const experts = await contenders.experts(bundle, { threads, context: CONTEXT });
        const sources = Array.from({ length: STREAMS }, (): ExpertRole[] => ['safety', 'helpfulness']).flat();
        const measured = await alternate(
          [
            {
              name: `backend ${kind}`,
              run: async () => tokensPerSecond(await streams(served, { model: id, tokens })),
            },
            {
              name: `model alone ${kind}`,
              run: async () => (1000 * STREAMS) / (await experts.ask('steps', { sources, prompt, steps: tokens })),
            },
          ],
          { rounds },
        );
        tables.push({ title: `${STREAMS} streams of two experts, ${kind}`, unit: 'tokens/s', measured });
        figures.push({
          name: `backend over HTTP, ${STREAMS} streams of two experts, ${kind}, tokens/s`,
          against: 'the model alone',
          ratio: medianRatio(...measured),
          reach: kind === 'f32' ? 0.85 : null,
          expected: kind === 'f32' ? '0.8-0.9' : '0.7-0.85',
          better: 'higher',
        });
      });
    }
    return result({ figures, tables });
  },
};

/** When each token of each stream came, as a client sees it. */
async function streams(
  { url }: ServedBackend,
  { model, tokens }: { model: string; tokens: number },
): Promise<number[][]> {
  const timed = new TimedStreams(STREAMS, { tokens });
  const stream = async (seed: number) => {
    const content = `Write a very long story, number ${seed + 1}, about an old lighthouse and its keeper.`;
    const messages = [{ role: 'user' as const, content }];
    const sampling = { temperature: SAMPLED.temperature, top_p: SAMPLED.topP };
    // As the edge asks where nobody wants a trace.
    const request = generateRequest({
      model,
      messages,
      max_tokens: MOST_TOKENS,
      ignore_eos: true,
      seed,
      expert_logprobs: false,
      ...sampling,
    });
    const response = await call(url, request, { line: TWO_EXPERTS, signal: timed.enough });
    if (!response.ok) throw new Error(`the backend refused with ${response.status}: ${await response.text()}`);
    for await (const frame of framesOf(response)) {
      if (frame.type === 'token') timed.token(seed);
      if (frame.type === 'error') throw new Error(`the answer ended with ${frame.code}: ${frame.message}`);
    }
  };
  await Promise.all(Array.from({ length: STREAMS }, (_, seed) => stream(seed).catch(timed.ended)));
  return timed.times;
}
