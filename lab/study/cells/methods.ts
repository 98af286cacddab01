/**
 * The methods that the study compares. Each is given by what serves it: a bundle made of trained
 * runs, and a line. All of them answer through the same engine and gate. A single policy is a
 * bundle whose safety expert answers alone.
 */
import { type Line, OPEN_LINE } from '#shared/line/line.ts';
import type { RunName } from '../../methods/runs.ts';
import type { MethodInfo } from '../results/results.ts';

export type BundleRecipe =
  /** One policy. `base` is the base itself. */
  | { kind: 'single'; policy: RunName | 'base' }
  | { kind: 'soup'; safety: RunName; helpfulness: RunName; weight: number }
  | { kind: 'pair'; safety: RunName; helpfulness: RunName; routers: readonly RunName[] };

export type Method = Omit<MethodInfo, 'trainedTokens'> & {
  bundle: BundleRecipe;
  line: Line;
  /**
   * A headline method answers with every seed of the study, on every set, and under prefill
   * attacks. Other methods answer only the world, with the first seed.
   */
  headline: boolean;
};

const ALONE: Line = { ...OPEN_LINE, action: 'safety_only' };
const STATIC_WEIGHTS = [0.25, 0.5, 0.75] as const;
const FLOORS = [0, 0.3, 0.6, 0.9] as const;
const BUDGETS = [2, 8, 20, null] as const;

const DPO = { safety: 'dpo-safety', helpfulness: 'dpo-helpfulness' } as const;
const MIDPO = {
  kind: 'pair',
  safety: 'spe-safety',
  helpfulness: 'spe-helpfulness',
  routers: ['layers', 'logits'],
} as const;

const single = (id: string, label: string, policy: RunName | 'base', what: string): Method => ({
  id,
  label,
  family: policy === 'base' ? 'reference' : 'single',
  what,
  bundle: { kind: 'single', policy },
  line: ALONE,
  headline: true,
});

function routerUnderLine(floor: number, budget: number | null): Method {
  const bare = floor === 0 && budget === null;
  return {
    id: bare ? 'logits' : `logits-floor-${floor}-budget-${budget ?? 'none'}`,
    label: bare ? 'logits router' : `floor ${floor}, budget ${budget ?? 'none'}`,
    family: 'logits-router',
    what: bare
      ? "this project's router: a gate on both experts' last hidden states, trained through the geometric mixture that is served"
      : `the logits router under floor ${floor} and ${budget === null ? 'no budget' : `a budget of ${budget} nats`}`,
    bundle: MIDPO,
    line: { ...OPEN_LINE, floor, budget },
    headline: bare || (floor === 0.9 && (budget === 2 || budget === null)),
  };
}

export const METHODS: readonly Method[] = [
  single('base', 'base', 'base', 'the base without an expert'),
  single('dpo-h', 'DPO-H', 'dpo-helpfulness', 'DPO (arXiv 2305.18290) on helpfulness'),
  single('dpo-s', 'DPO-S', 'dpo-safety', 'DPO on safety'),
  single('dpo-both', 'DPO on both', 'dpo-both', 'one DPO policy, half of the pairs with either label'),
  single(
    'spe-h',
    'SPE-H',
    'spe-helpfulness',
    "MidPO's helpfulness expert alone: DPO with a tenth of the reward model's margin",
  ),
  single('spe-s', 'SPE-S', 'spe-safety', "MidPO's safety expert alone: DPO with a tenth of the cost model's margin"),
  single(
    'sequential',
    'H then S',
    'sequential',
    'DPO on helpfulness, then on safety from there (SACPO, arXiv 2404.11049)',
  ),
  single(
    'modpo',
    'MODPO',
    'modpo',
    "DPO on helpfulness with the cost model's signed margin (arXiv 2310.03708), weights a half each",
  ),
  ...STATIC_WEIGHTS.map(
    (weight): Method => ({
      id: `soup-${weight}`,
      label: `soup ${weight}`,
      family: 'soup',
      what: `weights of the two DPO experts interpolated (rewarded soups, arXiv 2306.04488), safety ${weight}`,
      bundle: { kind: 'soup', ...DPO, weight },
      line: ALONE,
      headline: weight === 0.5,
    }),
  ),
  ...STATIC_WEIGHTS.map(
    (weight): Method => ({
      id: `mod-${weight}`,
      label: `MOD ${weight}`,
      family: 'mod',
      what: `logits of the two DPO experts mixed by a constant weight (MOD, arXiv 2406.18853), safety ${weight}`,
      bundle: { kind: 'pair', ...DPO, routers: [] },
      line: { ...OPEN_LINE, floor: weight, ceiling: weight },
      headline: weight === 0.5,
    }),
  ),
  {
    id: 'layers-faithful',
    label: 'MidPO faithful',
    family: 'midpo',
    what: "MidPO (arXiv 2506.02460) with its published code's faults, and the whole margin",
    bundle: {
      kind: 'pair',
      safety: 'spe-safety-faithful',
      helpfulness: 'spe-helpfulness-faithful',
      routers: ['layers-faithful'],
    },
    line: { ...OPEN_LINE, mode: 'layers' },
    headline: true,
  },
  {
    id: 'layers',
    label: 'MidPO corrected',
    family: 'midpo',
    what: 'MidPO without those faults, with a tenth of the margin and of lambda: the experts are routed in every layer',
    bundle: MIDPO,
    line: { ...OPEN_LINE, mode: 'layers' },
    headline: true,
  },
  ...BUDGETS.toReversed().flatMap((budget) => FLOORS.map((floor) => routerUnderLine(floor, budget))),
];

/** The runs that a method's bundle is made of. */
export function runsOf({ bundle }: Method): RunName[] {
  if (bundle.kind === 'single') return bundle.policy === 'base' ? [] : [bundle.policy];
  return [bundle.safety, bundle.helpfulness, ...(bundle.kind === 'pair' ? bundle.routers : [])];
}
