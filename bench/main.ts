/** `npm run bench`: measures every speed claim on this machine, as ratios within one run. */
import path from 'node:path';
import { Argument, Command, Option } from 'commander';
import { integer, positiveInteger } from '../cli/options/numbers.ts';
import { benchAffinity } from './affinity.ts';
import { benchCachedAnswers, benchCachedDecisions } from './cached-routing.ts';
import { benchChaos } from './chaos.ts';
import { benchQueue } from './chaos-queue.ts';
import { benchChaosStack } from './chaos-stack.ts';
import { benchClassifier } from './classifier.ts';
import { benchClassifierEdge } from './classifier-edge.ts';
import { benchChangeSpread } from './edge/change-spread.ts';
import { benchEdge } from './edge.ts';
import { benchEdgeLatency } from './edge-latency.ts';
import { benchEdgeMixing } from './edge-mixing.ts';
import { parseRows, ROW_NAMES, type RowName } from './engine/rows/rows.ts';
import { benchEngine, SHAPES, type ShapeName } from './engine.ts';
import { benchEqualAnswers } from './equal-answers.ts';
import { KIND_NAMES, type KindName } from './fuzz/kinds.ts';
import { benchFuzz, parseKinds } from './fuzz.ts';
import { benchGate } from './gate.ts';
import { benchGlobal } from './global.ts';
import { benchGrammar } from './grammar.ts';
import { benchKeptPrefixes } from './kept-prefixes.ts';
import { benchLearnedRouters } from './learned-routers.ts';
import { benchLimits } from './limits.ts';
import { benchModels } from './models.ts';
import { benchRemote } from './remote.ts';
import { benchRemotePositions } from './remote-positions.ts';
import { benchResumeCost } from './resume-cost.ts';
import { benchScaling } from './scaling.ts';
import { benchSecondLook } from './second-look.ts';
import { benchSoak } from './soak.ts';
import { benchSpeculation } from './speculation.ts';
import { benchTenants } from './tenants.ts';
import { benchTraining } from './training.ts';
import { DEFAULT_BUCKETS, parseBuckets, type TrainingBucket } from './training-buckets.ts';
import { benchTrainingOnBase } from './training-on-base.ts';
import { DEFAULT_SIZES, parseSizes, type TrainingSize } from './training-sizes.ts';
import { benchTwoExperts } from './two-experts.ts';

const DEMO_BUNDLE = path.join(import.meta.dirname, '../models/demo');

type Flags = {
  rounds: number;
  tokens: number;
  bundle: string;
  sizes: readonly TrainingSize[];
  buckets: readonly TrainingBucket[];
  batchTokens: number;
  threads: number;
  seed: number;
  answerTokens: number;
  shape: ShapeName;
  only: readonly RowName[] | null;
  out: string | null;
  docs: string | null;
  parts: string | null;
  requests: number;
  streams: number;
  cases: number;
  kinds: readonly KindName[] | null;
};

/** Each benchmark returns its ratios by name. */
const BENCHES: Record<string, (flags: Flags) => Promise<Record<string, number>>> = {
  'two-experts': (flags) => benchTwoExperts({ ...flags, bundleDir: flags.bundle }),
  gate: (flags) => benchGate({ ...flags, bundleDir: flags.bundle }),
  grammar: (flags) => benchGrammar({ ...flags, bundleDir: flags.bundle }),
  'learned-routers': (flags) => benchLearnedRouters({ ...flags, bundleDir: flags.bundle }),
  classifier: async (flags) => ({ ...(await benchClassifier(flags)), ...(await benchClassifierEdge()) }),
  edge: async (flags) => ({ ...(await benchEdge(flags)), ...(await benchChangeSpread(flags)) }),
  'change-spread': benchChangeSpread,
  'edge-latency': benchEdgeLatency,
  'edge-mixing': benchEdgeMixing,
  'equal-answers': benchEqualAnswers,
  fuzz: benchFuzz,
  global: benchGlobal,
  'kept-prefixes': benchKeptPrefixes,
  affinity: benchAffinity,
  queue: benchQueue,
  chaos: benchChaos,
  'chaos-stack': benchChaosStack,
  limits: benchLimits,
  'cached-decisions': benchCachedDecisions,
  'cached-answers': benchCachedAnswers,
  models: benchModels,
  remote: benchRemote,
  'remote-positions': benchRemotePositions,
  'resume-cost': benchResumeCost,
  scaling: benchScaling,
  'second-look': benchSecondLook,
  engine: benchEngine,
  soak: benchSoak,
  speculation: benchSpeculation,
  tenants: benchTenants,
  training: async (flags) => ({ ...(await benchTraining(flags)), ...(await benchTrainingOnBase(flags)) }),
  'training-on-base': benchTrainingOnBase,
};

const program = new Command('bench')
  .description(
    'measures speed and behaviour: the second expert, the gate, learned routers, the edge beside other gateways, how soon a change reaches it, its classifier, mixing at the edge, many tenants, ten cities, what a deployment costs as it grows, training, the engine against llama.cpp, memory over many requests, equal answers, a second look at the prompt, kept prefixes and what affinity buys, a full queue, crashes, inputs at random, what limits cost, several positions a round trip, cached decisions and answers, a real model’s memory and start, drafts, and experts on llama.cpp; prints medians and raw values',
  )
  .addArgument(new Argument('[names...]', 'which to run, or all').choices(Object.keys(BENCHES)))
  .option('--rounds <n>', 'rounds of each measurement', positiveInteger, 9)
  .option('--tokens <n>', 'tokens decoded in a round', positiveInteger, 200)
  .option('--bundle <dir>', 'the bundle to decode with; training uses its tokenizer', DEMO_BUNDLE)
  .option('--sizes <list>', `models to train: width/layers/intermediate, ... (default: ${DEFAULT_SIZES})`)
  .option('--buckets <list>', `batches to train SmolLM2 with: rows x length, ... (default: ${DEFAULT_BUCKETS})`)
  .option('--batch-tokens <n>', 'tokens in a training step', positiveInteger, 1536)
  .option('--threads <n>', 'threads for training; 0: all cores', integer, 0)
  .option('--requests <n>', 'requests of the soak test', positiveInteger, 10_000)
  .option(
    '--seed <n>',
    'seed of the chaos runs and of the fuzz, which goes on where it was stopped; 0: a new one each time',
    integer,
    0,
  )
  .option('--streams <n>', 'streams of the chaos run', positiveInteger, 1_000)
  .option('--cases <n>', 'cases of the fuzz in all, shared out among its kinds', positiveInteger, 100_000)
  .option(
    '--kinds <list>',
    `kinds of the fuzz, separated by commas: ${KIND_NAMES.join(', ')} (default: all)`,
    parseKinds,
  )
  .addOption(
    new Option('--shape <name>', 'the engine’s model; 1.1b takes 14 GB of disk').choices(SHAPES).default('135m'),
  )
  .option('--answer-tokens <n>', 'tokens of each answer in the engine’s rows', positiveInteger, 48)
  .option(
    '--only <rows>',
    `rows of the engine’s table, separated by commas: ${ROW_NAMES.join(', ')} (default: all)`,
    parseRows,
  )
  .option('--out <file>', 'where to put the engine’s raw results, as JSON')
  .option('--docs <dir>', 'where scaling keeps its figures and its picture, as in docs/scaling')
  .option('--parts <file>', 'measured parts that scaling goes on from, as in docs/scaling/measured.json');
await program.parseAsync();
type Given = Omit<Flags, 'sizes' | 'buckets' | 'only' | 'out' | 'docs' | 'parts' | 'kinds'> & {
  sizes?: string;
  buckets?: string;
  only?: RowName[];
  out?: string;
  docs?: string;
  parts?: string;
  kinds?: KindName[];
};
const {
  sizes = DEFAULT_SIZES,
  buckets = DEFAULT_BUCKETS,
  only = null,
  out = null,
  docs = null,
  parts = null,
  kinds = null,
  ...flags
} = program.opts<Given>();
const parsed: Flags = {
  ...flags,
  only,
  out,
  docs,
  parts,
  kinds,
  sizes: parseSizes(sizes),
  buckets: parseBuckets(buckets),
};

const ratios: Record<string, number> = {};
/** Parts of `training` and of `edge`, which can be measured alone. */
const PARTS = ['training-on-base', 'change-spread'];
const names = program.args.length > 0 ? program.args : Object.keys(BENCHES).filter((name) => !PARTS.includes(name));
for (const name of names) Object.assign(ratios, await BENCHES[name]!(parsed));
console.log('\nmedians of the rounds');
for (const [name, ratio] of Object.entries(ratios)) console.log(`  ${ratio.toFixed(2).padStart(7)}  ${name}`);
