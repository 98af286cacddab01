/**
 * What limits cost a request: the same edge with every limit set, budgets and usage, against one
 * without accounts at all. The backend is the scripted one of the tests, which answers at once, so
 * that nearly all the time is spent at the edge.
 *
 * A request waits for one call of its tenant's account, its first token for a write to disk (about
 * 0.35 ms on an idle one), and the settlement after the answer takes the same core. Written down
 * before measuring: 1.2 to 1.35 times the median latency of a request that is answered at once.
 * That was when the call itself waited for the disk. Then the write ran beside the backend's work,
 * and we expected 1.1 to 1.25. Now the settlement is written with the next reservation, which is
 * one write a request and not two: 1.05 to 1.2.
 */
import { existsSync, readFileSync } from 'node:fs';
import { type EdgeUnderTest, post, startEdgeUnderTest, testKey } from '#workers/testing/edge-under-test.ts';
import { descendantsOf } from '../test/process-tree.ts';
import { alternate, median, medianRatio, printMeasured } from './harness/measure.ts';

/** As Linux counts processor time, everywhere that Node runs. */
const MS_A_TICK = 10;
const REQUESTS_A_ROUND = 40;
/** None of them is ever in the way. */
const MANY = 1_000_000_000;
const EVERY_LIMIT = {
  requests_per_minute: MANY,
  tokens_per_minute: MANY,
  concurrent_streams: MANY,
  tokens_per_day: MANY,
  tokens_per_month: MANY,
  tries_per_prompt_per_minute: MANY,
};

export async function benchLimits({ rounds }: { rounds: number }): Promise<Record<string, number>> {
  const withoutAccounts = () =>
    startEdgeUnderTest({ without: ['TENANT_ACCOUNT', 'USAGE_QUEUE', 'USAGE_DB'], limits: { limited: {} } });
  const [off, cpuOff] = await withCpu(withoutAccounts);
  const [on, cpuOn] = await withCpu(() => startEdgeUnderTest({ limits: { limited: EVERY_LIMIT } }));
  try {
    const spent = new Map<() => number, number[]>([
      [cpuOff, []],
      [cpuOn, []],
    ]);
    const requests = (under: EdgeUnderTest, cpu: () => number, stream: boolean) => async () => {
      const latencies: number[] = [];
      const cpuBefore = cpu();
      for (let i = 0; i < REQUESTS_A_ROUND; i++) {
        const startedAt = performance.now();
        await drain(await ask(under, stream));
        latencies.push(performance.now() - startedAt);
      }
      spent.get(cpu)!.push((cpu() - cpuBefore) / REQUESTS_A_ROUND);
      return median(latencies);
    };
    const measured = await alternate(
      [
        { name: 'without accounts, whole', run: requests(off, cpuOff, false) },
        { name: 'limits, budgets and usage, whole', run: requests(on, cpuOn, false) },
        { name: 'without accounts, streamed', run: requests(off, cpuOff, true) },
        { name: 'limits, budgets and usage, streamed', run: requests(on, cpuOn, true) },
      ],
      { rounds },
    );
    console.log('\nlatency of an answer of 13 tokens that costs no time to draw (median of a round, one at a time)');
    printMeasured(measured, 'ms');
    // The first two of each are the rounds that warm up.
    const [perRequestOff = 0, perRequestOn = 0] = [...spent.values()].map((rounds) => mean(rounds.slice(2)));
    console.log(
      `processor time of the edge's process a request: ${perRequestOff.toFixed(2)} ms without, ${perRequestOn.toFixed(2)} ms with`,
    );
    const [wholeOff, wholeOn, streamedOff, streamedOn] = measured;
    return {
      'limits, budgets and usage on / off, whole answer, p50': medianRatio(wholeOn, wholeOff),
      'limits, budgets and usage on / off, streamed, p50': medianRatio(streamedOn, streamedOff),
      'limits, budgets and usage on / off, processor time of the edge': perRequestOn / perRequestOff,
    };
  } finally {
    await Promise.all([off.dispose(), on.dispose()]);
  }
}

/** Also returns what reads the processor time, in ms, of the runtime that was started. */
async function withCpu<T>(start: () => Promise<T>): Promise<[T, () => number]> {
  const runtimes = () => descendantsOf(process.pid).filter(({ command }) => command.includes('workerd serve'));
  const before = new Set(runtimes().map(({ pid }) => pid));
  const started = await start();
  const [own] = runtimes().filter(({ pid }) => !before.has(pid));
  // Other systems have no /proc.
  if (own === undefined || !existsSync('/proc/self/stat')) return [started, () => Number.NaN];
  return [
    started,
    () => {
      const stat = readFileSync(`/proc/${own.pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return (Number(fields[11]) + Number(fields[12])) * MS_A_TICK;
    },
  ];
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

function ask({ edge }: EdgeUnderTest, stream: boolean): Promise<Response> {
  const messages = [{ role: 'user', content: 'Hi' }];
  return post(
    edge,
    '/v1/chat/completions',
    { model: 'scripted', messages, seed: 1, max_tokens: 32, stream },
    testKey('limited'),
  );
}

async function drain(response: Response): Promise<void> {
  const text = await response.text();
  if (!response.ok || text.includes('"error"')) throw new Error(`the answer failed: ${text.slice(0, 200)}`);
}
