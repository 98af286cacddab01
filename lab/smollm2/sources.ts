/**
 * Where each row of the recipe comes from, and under which licence. Whatever is not in this table
 * is refused by name, because the weights are given away under Apache-2.0.
 */

/** What is selected, balanced and reported together. */
export const FAMILIES = [
  'world',
  'everyday',
  'refusal-direction',
  'hh',
  'oasst',
  'pandalm',
  'politeness',
  'rasbt',
  'own',
  'refusals',
  'declines',
] as const;
export type Family = (typeof FAMILIES)[number];

/** The family of pairs that the safety expert learns from although neither answer is unsafe. */
export const OVER_REFUSAL = 'refusals' satisfies Family;

type Source = {
  family: Family;
  licence: string;
  from: string;
  /** What the licence does not settle. */
  terms?: string;
};

export const WORLD = 'plimsoll-world';
export const EVERYDAY = 'plimsoll-everyday';
export const OWN_ANSWERS = 'own answers of the base';
export const REFUSALS = 'plimsoll-refusals';
export const DECLINES = 'plimsoll-declines';

const HERE = 'written for this project';
const JAILBREAKBENCH = {
  family: 'refusal-direction',
  licence: 'Apache-2.0',
  from: 'andyrdt/refusal_direction; behaviours of JailbreakBench (MIT)',
  terms: 'answers by five open chat models (Gemma, Llama 2 and 3, Qwen, Yi), whose own terms may apply',
} as const;

export const SOURCES: Readonly<Record<string, Source>> = {
  [WORLD]: { family: 'world', licence: 'Apache-2.0', from: `lab/world, ${HERE}` },
  [EVERYDAY]: { family: 'everyday', licence: 'Apache-2.0', from: `lab/smollm2/data/everyday.json, ${HERE}` },
  [OWN_ANSWERS]: { family: 'own', licence: 'Apache-2.0', from: 'drawn from the base, to the prompts of this table' },
  [REFUSALS]: {
    family: 'refusals',
    licence: 'Apache-2.0',
    from: `own answers of the base to harmless prompts, against refusals ${HERE}`,
  },
  [DECLINES]: {
    family: 'declines',
    licence: 'Apache-2.0',
    from: `refusals ${HERE}, against own answers of the base to harmful prompts`,
  },
  'refusal_direction/jailbreakbench/actadd': JAILBREAKBENCH,
  'refusal_direction/jailbreakbench/ablation': JAILBREAKBENCH,
  'anthropics/hh-rlhf': { family: 'hh', licence: 'MIT', from: 'anthropics/hh-rlhf, harmless-base/test' },
  'OASST sample trees (LAION-AI/Open-Assistant)': {
    family: 'oasst',
    licence: 'Apache-2.0',
    from: 'LAION-AI/Open-Assistant',
  },
  'PandaLM test (WeOpenML/PandaLM)': { family: 'pandalm', licence: 'Apache-2.0', from: 'WeOpenML/PandaLM' },
  'politeness pairs (rasbt/LLMs-from-scratch)': {
    family: 'politeness',
    licence: 'Apache-2.0',
    from: 'rasbt/LLMs-from-scratch',
  },
  'rasbt/LLMs-from-scratch': { family: 'rasbt', licence: 'Apache-2.0', from: 'rasbt/LLMs-from-scratch' },
};

/** Sources that share a file with the ones above and are left out, with the reason. */
export const REFUSED: Readonly<Record<string, string>> = {
  'refusal_direction/harmless': "its prompts are Alpaca's (CC-BY-NC-4.0)",
  'Auto-J pairwise test (GAIR-NLP/auto-j)': 'no clear licence',
  'LLaMA-Factory dpo_en_demo (hiyouga/LLaMA-Factory)': 'drawn from preference sets under other licences',
  'LLMBar/LLMBar/Adversarial/GPTInst (princeton-nlp/LLMBar)': 'instructions taken from sets under other licences',
  'LLMBar/LLMBar/Adversarial/GPTOut (princeton-nlp/LLMBar)': 'instructions taken from sets under other licences',
  'LLMBar/LLMBar/Adversarial/Manual (princeton-nlp/LLMBar)': 'instructions taken from sets under other licences',
  'LLMBar/LLMBar/Adversarial/Neighbor (princeton-nlp/LLMBar)': 'instructions taken from sets under other licences',
  'LLMBar/LLMBar/Natural (princeton-nlp/LLMBar)': 'instructions taken from sets under other licences',
  'LLMBar/Processed/FairEval (princeton-nlp/LLMBar)': 'no clear licence',
  'LLMBar/Processed/LLMEval^2 (princeton-nlp/LLMBar)': 'no clear licence',
  'LLMBar/Processed/MT-Bench (princeton-nlp/LLMBar)': 'no clear licence',
};

const OPEN_LICENCES = new Set(['Apache-2.0', 'MIT', 'BSD-2-Clause', 'BSD-3-Clause', 'CC-BY-4.0', 'CC0-1.0']);

/**
 * The line of a source, or null if the table refuses it with a reason. Throws, naming `file`, for a
 * source that is in neither table.
 */
export function sourceOf(name: string, file: string): Source | null {
  const source = SOURCES[name];
  if (source !== undefined) return source;
  if (Object.hasOwn(REFUSED, name)) return null;
  throw new Error(`${file}: the source "${name}" has no line in lab/smollm2/sources.ts, so its licence is unknown`);
}

/**
 * Where the rows of a source are from, with the terms that its licence does not settle, for cards
 * and provenance. Throws for a source that is not in the table.
 */
export function describeSource(name: string): { licence: string; from: string } {
  const source = SOURCES[name];
  if (source === undefined) throw new Error(`the source "${name}" has no line in lab/smollm2/sources.ts`);
  const { licence, from, terms } = source;
  return { licence, from: terms === undefined ? from : `${from}; ${terms}` };
}

/** Throws unless weights under Apache-2.0 may come from what is under `licence`. */
export function assertOpen(what: string, licence: string): void {
  if (OPEN_LICENCES.has(licence)) return;
  throw new Error(
    `${what}: found the licence ${licence}, wanted one of ${[...OPEN_LICENCES].join(', ')}: the experts are given away under Apache-2.0`,
  );
}
