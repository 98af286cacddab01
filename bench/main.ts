/** `npm run bench`: every claim of speed, measured on this machine, as ratios within one run. */
import path from 'node:path';
import { Command } from 'commander';
import { positiveInteger } from '#training/cli-numbers.ts';
import { benchEdgeLatency } from './edge-latency.ts';
import { benchLearnedRouters } from './learned-routers.ts';
import { benchTwoExperts } from './two-experts.ts';

const DEMO_BUNDLE = path.join(import.meta.dirname, '../models/demo');

const program = new Command('bench')
  .description(
    'measures the cost of the second expert, of learned routers and of the edge; alternating rounds, medians and raw values',
  )
  .option('--rounds <n>', 'rounds of each measurement', positiveInteger, 9)
  .option('--tokens <n>', 'tokens decoded in a round', positiveInteger, 48)
  .option('--bundle <dir>', 'the bundle to decode with', DEMO_BUNDLE);
await program.parseAsync();
const { rounds, tokens, bundle } = program.opts<{ rounds: number; tokens: number; bundle: string }>();

const ratios = {
  ...(await benchTwoExperts({ bundleDir: bundle, tokens, rounds })),
  ...(await benchLearnedRouters({ bundleDir: bundle, tokens, rounds })),
  ...(await benchEdgeLatency({ rounds })),
};
console.log('\nmedians of the rounds');
for (const [name, ratio] of Object.entries(ratios)) console.log(`  ${ratio.toFixed(2).padStart(7)}  ${name}`);
