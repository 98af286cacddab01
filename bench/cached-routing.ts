/**
 * Does the Cache API pay for decisions about prompts? We time, in workerd: to make a decision with
 * the real classifier, to find it in the isolate, and the calls that a cache shared by isolates
 * would add. Then what an answer that is given again costs at the front door.
 *
 * Written down before measuring: a match costs about 0.3 ms, which is more than to classify 500
 * words. So it would pay only for prompts of thousands of words, and a miss pays it on top.
 */
import { fileURLToPath } from 'node:url';
import { Miniflare } from 'miniflare';
import { adminClient } from '#workers/control/admin-client.ts';
import { bundleWorker } from '#workers/local/bundle-worker.ts';
import { sha256 } from '#workers/local/seed-demo-tenants.ts';
import { ask, OPERATOR_KEY, post, startEdgeUnderTest } from '#workers/testing/edge-under-test.ts';
import { alternate, median, medianRatio, printMeasured } from './harness/measure.ts';

const WORKER = fileURLToPath(new URL('../workers/testing/worker/cache-cost.ts', import.meta.url));
const LENGTHS = [50, 500, 4_000];
const REQUESTS_A_ROUND = 20;
const WORDS =
  'the ship was loaded in winter with grain and timber for a harbour that none of its crew had seen before'.split(' ');

export async function benchCachedDecisions({ rounds }: { rounds: number }): Promise<Record<string, number>> {
  const worker = new Miniflare({
    cf: false,
    telemetry: { enabled: false },
    modules: await bundleWorker(WORKER),
    compatibilityDate: '2026-07-30',
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
  });
  try {
    const url = (await worker.unsafeGetDirectURL()).origin;
    const timed = async (route: string, n: number, body: string) => {
      const startedAt = performance.now();
      const answer = await fetch(`${url}/${route}?n=${n}`, { method: 'POST', body });
      if ((await answer.text()) !== `${n}`) throw new Error(`/${route} has failed`);
      return performance.now() - startedAt;
    };
    const found: Record<string, number> = {};
    for (const length of LENGTHS) {
      const text = Array.from({ length }, (_, i) => WORDS[(i * 7 + (i >> 3)) % WORDS.length]).join(' ');
      const each = (route: string, n: number) => async () =>
        (1000 * ((await timed(route, n, text)) - (await timed(route, 1, text)))) / (n - 1);
      const n = length > 1_000 ? 10 : 50;
      const measured = await alternate(
        [
          { name: 'made: the classifier and the policy', run: each('make', n) },
          { name: 'found in the isolate', run: each('isolate', n) },
          { name: 'Cache API, found', run: each('match', n) },
          { name: 'Cache API, not there', run: each('absent', n) },
          { name: 'made, and put into the Cache API', run: each('put', n) },
        ],
        { rounds },
      );
      console.log(`\na decision about a prompt of ${length} words, in workerd`);
      printMeasured(measured, 'us');
      const [make, isolate, match] = measured;
      found[`a decision about ${length} words, made (us)`] = make.median;
      found[`a decision about ${length} words, found in the isolate (us)`] = isolate.median;
      found[`a decision about ${length} words, found in the Cache API / made`] = medianRatio(match, make);
    }
    return found;
  } finally {
    await worker.dispose();
  }
}

export async function benchCachedAnswers({ rounds }: { rounds: number }): Promise<Record<string, number>> {
  const under = await startEdgeUnderTest({ seed: false, sharedCache: true });
  try {
    const policy = { floor: 0.2, budget: null, cache: { answers: true } };
    const json = { name: 'bench', policy, keys: [{ id: 'main', sha256: sha256('pk-bench') }] };
    await adminClient(under.edge.url, OPERATOR_KEY).tenants[':id'].$put({ param: { id: 'bench' }, json });
    let asked = 0;
    const requests = (what: 'miss' | 'hit' | 'off', stream: boolean) => async () => {
      const latencies: number[] = [];
      for (let i = 0; i < REQUESTS_A_ROUND; i++) {
        const prompt = what === 'miss' ? `Question ${++asked}` : 'The same question';
        const startedAt = performance.now();
        const body = { ...ask(prompt), temperature: what === 'off' ? 1 : 0, stream };
        const answer = await post(under.edge, '/v1/chat/completions', body, 'pk-bench');
        if (!(await answer.text()).includes('stop')) throw new Error('an answer has failed');
        latencies.push(performance.now() - startedAt);
      }
      return median(latencies);
    };
    const measured = await alternate(
      [
        { name: 'not cacheable, whole', run: requests('off', false) },
        { name: 'made and kept, whole', run: requests('miss', false) },
        { name: 'given again, whole', run: requests('hit', false) },
        { name: 'not cacheable, streamed', run: requests('off', true) },
        { name: 'made and kept, streamed', run: requests('miss', true) },
        { name: 'given again, streamed', run: requests('hit', true) },
      ],
      { rounds },
    );
    console.log('\nlatency of an answer of 13 tokens that costs no time to draw (median of a round, one at a time)');
    printMeasured(measured, 'ms');
    const [off, miss, hit, offStream, missStream, hitStream] = measured;
    return {
      'made and kept / not cacheable, whole, p50': medianRatio(miss, off),
      'given again / not cacheable, whole, p50': medianRatio(hit, off),
      'made and kept / not cacheable, streamed, p50': medianRatio(missStream, offStream),
      'given again / not cacheable, streamed, p50': medianRatio(hitStream, offStream),
    };
  } finally {
    await under.dispose();
  }
}
