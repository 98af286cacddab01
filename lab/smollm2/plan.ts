/**
 * What the recipe will cost, before any work: tokens of each step by what is done with them, and
 * the time that two cores take at the rates that were measured. Budgets are upper bounds, so the
 * plan is one too, as far as the rates hold.
 */
import { formatSeconds } from '#training/run/progress.ts';
import type { Settings, TokenBudgets } from './settings.ts';
import { OVER_REFUSAL } from './sources.ts';

/**
 * Tokens a second of SmolLM2-135M on two cores in f32: what a whole run at a scale of 0.4 took,
 * with short rows in batches of one to three pairs, and sixteen answers at once. The machine had
 * other work to do, so a quiet one is faster.
 */
export const RATES = { generate: 220, forward: 600, score: 280, dpo: 340, layers: 270, logits: 300 } as const;
type Work = keyof typeof RATES;

/** What a step takes besides: reading data, loading the base, making sessions for each shape. */
const START_SECONDS = 180;

/** Measured four times while it learns (training/stages/train-pairs.ts), and once before. */
const EVALUATIONS = 4;

/** The probe's prompts, and their tokens after the template's, which are read once. */
const PROBE = { prompts: 29_147, meanTokens: 35 };
/** Choosing layers and window, fitting, and measuring take so long with all prompts. */
const FITS_SECONDS = 360;

/** Of a prompt to answer, the template's tokens included. Most are shorter. */
const MEAN_PROMPT_TOKENS = 70;

type PlannedStep = { step: string; tokens: Partial<Record<Work, number>>; seconds: number };
export type Plan = { steps: PlannedStep[]; seconds: number };

export function planOf(settings: Settings): Plan {
  const { answers, prompts, pairs, dual, score, expert, router, probe } = settings;
  const asked = sum(prompts);
  const drawn = asked * answers.perPrompt;
  const learned = (work: Work, set: Record<'train' | 'dev', TokenBudgets>, epochs: number, references: number) => ({
    [work]: epochs * sum(set.train),
    forward: references * sum(set.train) + (EVALUATIONS + Math.min(1, references)) * sum(set.dev),
  });
  const steps = [
    planned('data', {}),
    planned('answers', { forward: asked * MEAN_PROMPT_TOKENS, generate: drawn * answers.maxTokens }),
    planned('pairs', {}),
    planned('reward', learned('score', pairs.better, score.epochs, 0)),
    planned('cost', learned('score', pairs.safer, score.epochs, 0)),
    // Every answer once by each head.
    planned('dual', { forward: 2 * drawn * (MEAN_PROMPT_TOKENS + answers.maxTokens) }),
    // The reference's log-probabilities and the margins.
    planned('safety', learned('dpo', withOverRefusal(pairs), expert.epochs, 2)),
    planned('helpfulness', learned('dpo', pairs.better, expert.epochs, 2)),
    planned('layers', learned('layers', dual, router.epochs, 1)),
    planned('logits', learned('logits', dual, router.epochs, 1)),
    probe.share === 0
      ? { step: 'probes', tokens: {}, seconds: 0 }
      : planned('probes', { forward: probe.share * PROBE.prompts * PROBE.meanTokens }, probe.share * FITS_SECONDS),
    planned('export', {}),
    planned('heads', { forward: sum(pairs.safer.test) + sum(pairs.better.test) }),
    planned('card', {}),
  ];
  return { steps, seconds: steps.reduce((total, { seconds }) => total + seconds, 0) };
}

/** What the safety expert reads: the pairs of its own and those of over-refusal. */
function withOverRefusal({ safer, better }: Settings['pairs']): Record<'train' | 'dev', TokenBudgets> {
  const of = (side: 'train' | 'dev') => ({ ...safer[side], [OVER_REFUSAL]: better[side][OVER_REFUSAL] ?? 0 });
  return { train: of('train'), dev: of('dev') };
}

/** A table for the terminal. `done` names the steps that need not run again. */
export function planTable({ steps, seconds }: Plan, done: ReadonlySet<string> = new Set()): string {
  const left = steps.filter(({ step }) => !done.has(step)).reduce((total, step) => total + step.seconds, 0);
  const lines = steps.map(({ step, tokens, seconds }) => {
    const work = Object.entries(tokens).map(([name, count]) => `${Math.round(count / 1000)}k ${name}`);
    const state = done.has(step) ? 'done' : `at most ${formatSeconds(seconds)}`;
    return `  ${step.padEnd(12)} ${state.padEnd(16)} ${work.join(', ')}`.trimEnd();
  });
  const total = `at most ${formatSeconds(seconds)} of two cores in all, ${formatSeconds(left)} from here`;
  return [`steps, and thousands of tokens by what is done with them:`, ...lines, total].join('\n');
}

function planned(step: string, tokens: Partial<Record<Work, number>>, besides = 0): PlannedStep {
  // Object.entries widens the keys of a closed record to string.
  const work = Object.entries(tokens) as [Work, number][];
  const seconds = work.reduce((all, [name, count]) => all + count / RATES[name], START_SECONDS + besides);
  return { step, tokens, seconds };
}

function sum(amounts: Readonly<Record<string, number>>): number {
  return Object.values(amounts).reduce((total, amount) => total + amount, 0);
}
