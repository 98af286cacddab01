/**
 * How soon a first token comes when the beginning of a prompt has been read before: by the same
 * tenant, by another tenant, or by nobody. The beginning has 1,000 tokens, or what the bundle's
 * context has room for, and 20 more follow, which are new each time.
 *
 * Written down before measuring: again by the same tenant 0.03 to 0.1 of the time of a new
 * beginning, and by another tenant 0.9 to 1.1.
 */
import type { Engine } from '#gpu-backend/engine/engine.ts';
import { startWorkerEngine } from '#gpu-backend/engine/worker-engine.ts';
import { loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import { seedKey } from '#shared/gate/index.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { createRandom } from '#training/data/random.ts';
import { alternate, medianRatio, printMeasured } from './harness/measure.ts';

const BEGINNING = 1000;
const QUESTION = 20;
const MOST_CONTEXT = 2048;
/** Enough for a few beginnings at a time. */
const PREFIX_BYTES = 2 ** 30;

export async function benchKeptPrefixes({ bundle, rounds }: { bundle: string; rounds: number }) {
  const { config } = await loadBundleHead(bundle);
  const contextLength = Math.min(MOST_CONTEXT, config.max_position_embeddings);
  const count = Math.min(BEGINNING, contextLength - 2 * QUESTION);
  const random = createRandom('bench/kept-prefixes');
  // The lowest ids may be special tokens.
  const tokens = (length: number) =>
    Array.from({ length }, () => random.int(Math.floor(config.vocab_size / 8), config.vocab_size - 1));
  const engine = await startWorkerEngine({ dir: bundle, contextLength, limits: { prefixBytes: PREFIX_BYTES } });
  const first = (tenant: string, beginning: readonly number[]) =>
    firstTokenMs(engine, { tenant, promptIds: [...beginning, ...tokens(QUESTION)] });

  const measured = await alternate(
    [
      { name: 'a new beginning', run: () => first('acme', tokens(count)) },
      {
        name: 'the same beginning again',
        run: async () => {
          const beginning = tokens(count);
          await first('acme', beginning);
          return first('acme', beginning);
        },
      },
      {
        name: 'again, by another tenant',
        run: async () => {
          const beginning = tokens(count);
          await first('acme', beginning);
          return first('globex', beginning);
        },
      },
    ],
    { rounds },
  );
  await engine.close();
  console.log(`\nfirst token after a beginning of ${count} tokens and ${QUESTION} more, two experts`);
  printMeasured(measured, 'ms');
  const [cold, again, other] = measured;
  return {
    [`first token: ${count} tokens again / new`]: medianRatio(again, cold),
    [`first token: ${count} tokens again, by another tenant / new`]: medianRatio(other, cold),
  };
}

async function firstTokenMs(
  engine: Engine,
  { tenant, promptIds }: { tenant: string; promptIds: number[] },
): Promise<number> {
  const began = performance.now();
  let ms = Number.NaN;
  const sampling = { key: seedKey(1), temperature: 1, topP: 1 };
  const request = { tenant, promptIds, maxTokens: 1, stop: [], sampling, line: OPEN_LINE };
  for await (const { type } of engine.generate(request)) if (type === 'token') ms = performance.now() - began;
  return ms;
}
