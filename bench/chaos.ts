/**
 * A thousand streams under random kills. To a client, a killed backend must cost a pause and
 * nothing else: no token lost, none doubled, none wrong, no stream that ends with an error.
 *
 * Written down before measuring: all four are 0, whatever the seed. The pause is the time until the
 * edge hears of it, another backend reads the prompt and the tokens so far, and draws: tens of
 * milliseconds after a kill, and the silence limit after a stall.
 */
import { quantile } from './chaos/quantile.ts';
import { type ChaosResult, runChaos } from './chaos/run-chaos.ts';

export async function benchChaos({
  seed: given,
  streams,
}: {
  seed: number;
  streams: number;
}): Promise<Record<string, number>> {
  const seed = given === 0 ? 1 + Math.floor(Math.random() * 1e6) : given;
  console.log(`\nchaos: ${streams} streams, seed ${seed} (--seed repeats the damage)`);
  const result = await runChaos({
    streams,
    requests: Math.min(200, streams),
    open: 12,
    backends: 4,
    seed,
    onProgress: (done) => done % 100 === 0 && console.log(`  ${done} streams`),
  });
  printTable(result);
  const { lost, doubled, wrong, faults } = result;
  if (lost + doubled + wrong + faults.length > 0) {
    for (const fault of new Set(faults)) console.error(`  MUST NOT BE: ${fault}`);
    throw new Error(`chaos: ${lost} tokens lost, ${doubled} doubled, ${wrong} wrong, ${faults.length} streams broken`);
  }
  return {
    'chaos: tokens lost, doubled or wrong': lost + doubled + wrong,
    'chaos: streams that several backends drew': result.resumed,
    'chaos: longest pause of such a stream, p50 (ms)': quantile(result.pausesMs, 0.5),
    'chaos: longest pause of such a stream, p99 (ms)': quantile(result.pausesMs, 0.99),
  };
}

function printTable(result: ChaosResult): void {
  const { streams, tokens, kills, damages, resumed, parts, lost, doubled, wrong, faults } = result;
  const ms = (values: readonly number[]) =>
    `${quantile(values, 0.5).toFixed(0)} / ${quantile(values, 0.99).toFixed(0)} ms`;
  const rows: [string, string | number][] = [
    ['streams', streams],
    ['tokens', tokens],
    ['backends killed', kills],
    ...Object.entries(damages).map(([name, times]): [string, number] => [`answers spoiled: ${name}`, times]),
    ['streams that several backends drew', resumed],
    ['their parts', parts],
    ['requests told to come again', result.refusals],
    ['tokens lost', lost],
    ['tokens doubled', doubled],
    ['tokens wrong', wrong],
    ['streams that did not end well', faults.length],
    ['longest pause of a stream before the damage, p50 / p99', ms(result.quietPausesMs)],
    ['longest pause of a stream that several drew, p50 / p99', ms(result.pausesMs)],
  ];
  for (const [name, value] of rows) console.log(`  ${String(value).padStart(16)}  ${name}`);
}
