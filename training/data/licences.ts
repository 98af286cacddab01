/**
 * Under which licence data is, by its source, and which licence weights may have that are trained
 * on it. Whether weights are an adaptation of their data is not settled. We take the careful
 * reading: weights get no more freedom than the rows that they were trained on.
 */

/** Its owner says nothing, or nobody has asked. */
export const UNKNOWN_LICENCE = 'NOASSERTION';

/** Short words for licences that have no SPDX identifier. */
const OWN_WORDS: Readonly<Record<string, string>> = {
  own: 'LicenseRef-own',
  'public-domain': 'LicenseRef-public-domain',
  private: 'LicenseRef-private',
  unknown: UNKNOWN_LICENCE,
};

/** Weights that are not given to anybody. Any data may be in them, as far as its owner allows. */
const PRIVATE = 'LicenseRef-private';

/** Weights under any licence may come from these. Some of them want their authors named. */
const OPEN = new Set([
  'Apache-2.0',
  'MIT',
  'MIT-0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'ISC',
  'CC-BY-3.0',
  'CC-BY-4.0',
  'CC0-1.0',
  'PDDL-1.0',
  'Unlicense',
  'LicenseRef-public-domain',
  'LicenseRef-own',
]);

/** The sources that rows name (`source`), or that a layout implies, and their SPDX identifiers. */
const SOURCES: Readonly<Record<string, string>> = {
  'plimsoll-world': 'Apache-2.0',
  'plimsoll-everyday': 'Apache-2.0',
  'plimsoll-refusals': 'Apache-2.0',

  'PKU-SafeRLHF': 'CC-BY-NC-4.0',
  'PKU-SafeRLHF subset (xinykou/safety_realignment)': 'CC-BY-NC-4.0',
  'HH-RLHF': 'MIT',
  'anthropics/hh-rlhf': 'MIT',
  BeaverTails: 'CC-BY-NC-4.0',
  UltraFeedback: 'MIT',
  'OASST sample trees (LAION-AI/Open-Assistant)': 'Apache-2.0',
  'PandaLM test (WeOpenML/PandaLM)': 'Apache-2.0',
  'politeness pairs (rasbt/LLMs-from-scratch)': 'Apache-2.0',
  'AlpacaEval 2 annotations (tatsu-lab/alpaca_eval)': 'CC-BY-NC-4.0',
  // The behaviours are JailbreakBench's (MIT).
  'refusal_direction/jailbreakbench/ablation': 'Apache-2.0',
  'refusal_direction/jailbreakbench/actadd': 'Apache-2.0',
  // The prompts are Alpaca's.
  'refusal_direction/harmless': 'CC-BY-NC-4.0',

  'rasbt/LLMs-from-scratch': 'Apache-2.0',
  'LLMs-from-scratch instructions': 'Apache-2.0',
  'google-research-datasets/Taskmaster': 'CC-BY-4.0',
  'Taskmaster-4': 'CC-BY-4.0',
  GPTeacher: 'MIT',
  'GPTeacher/Roleplay (teknium1/GPTeacher)': 'MIT',
  'GPTeacher/Codegen (teknium1/GPTeacher)': 'MIT',
  GSM8K: 'MIT',
  'GSM8K train (stanford-cs336/assignment5-alignment)': 'MIT',
  'databricks-dolly-15k part (nayohan/dolly-15k-analysis)': 'CC-BY-SA-3.0',
  'databricks-dolly-15k part (LLM-Tuning-Safety/LLMs-Finetuning-Safety)': 'CC-BY-SA-3.0',
  'Alpaca 5k (tatsu-lab/stanford_alpaca)': 'CC-BY-NC-4.0',
  'Alpaca 1k (wujindou/BLOOM-LORA)': 'CC-BY-NC-4.0',
  'Alpaca demo (hiyouga/LLaMA-Factory)': 'CC-BY-NC-4.0',
  'Alpaca safety-keyword part (LLM-Tuning-Safety/LLMs-Finetuning-Safety)': 'CC-BY-NC-4.0',
  'sahil280114/codealpaca': 'CC-BY-NC-4.0',
  'LIMA (xinykou/safety_realignment)': 'CC-BY-NC-SA-4.0',
  'PKU safe SFT (xinykou/safety_realignment)': 'CC-BY-NC-4.0',
  'vinid/safety-tuned-llamas': 'CC-BY-NC-4.0',
  'boyiwei/alignment-attribution-code': 'MIT',
  'google-research-datasets/dstc8-schema-guided-dialogue': 'CC-BY-SA-4.0',
  'alexa/Topical-Chat': 'CDLA-Sharing-1.0',

  // Nobody has said, or they are taken from sets under licences of their own.
  'Auto-J pairwise test (GAIR-NLP/auto-j)': UNKNOWN_LICENCE,
  'LLaMA-Factory dpo_en_demo (hiyouga/LLaMA-Factory)': UNKNOWN_LICENCE,
  'LLMBar/LLMBar/Adversarial/GPTInst (princeton-nlp/LLMBar)': UNKNOWN_LICENCE,
  'LLMBar/LLMBar/Adversarial/GPTOut (princeton-nlp/LLMBar)': UNKNOWN_LICENCE,
  'LLMBar/LLMBar/Adversarial/Manual (princeton-nlp/LLMBar)': UNKNOWN_LICENCE,
  'LLMBar/LLMBar/Adversarial/Neighbor (princeton-nlp/LLMBar)': UNKNOWN_LICENCE,
  'LLMBar/LLMBar/Natural (princeton-nlp/LLMBar)': UNKNOWN_LICENCE,
  'LLMBar/Processed/FairEval (princeton-nlp/LLMBar)': UNKNOWN_LICENCE,
  'LLMBar/Processed/LLMEval^2 (princeton-nlp/LLMBar)': UNKNOWN_LICENCE,
  'LLMBar/Processed/MT-Bench (princeton-nlp/LLMBar)': UNKNOWN_LICENCE,
  'RM-Bench/alpacaeval (THU-KEG/RM-Bench)': UNKNOWN_LICENCE,
  'RM-Bench/refusals-dangerous (THU-KEG/RM-Bench)': UNKNOWN_LICENCE,
  'RM-Bench/refusals-offensive (THU-KEG/RM-Bench)': UNKNOWN_LICENCE,
  'STAR-1 (UCSC-VLAA/STAR-1)': UNKNOWN_LICENCE,
  'P3/T0 50k (yizhongw/self-instruct)': UNKNOWN_LICENCE,
};

/** The SPDX identifier of a known source, or null. */
export function licenceOf(source: string): string | null {
  return Object.hasOwn(SOURCES, source) ? SOURCES[source]! : null;
}

/**
 * `own` is `LicenseRef-own`, and so on; an identifier stays what it is. Throws, naming `flag`, for
 * what cannot be an SPDX identifier.
 */
export function spdxOf(text: string, flag: string): string {
  const licence = OWN_WORDS[text.toLowerCase()] ?? text;
  if (/^[A-Za-z0-9][A-Za-z0-9.+-]*$/.test(licence)) return licence;
  const words = Object.keys(OWN_WORDS).join(', ');
  throw new Error(`${flag}: found "${text}", wanted an SPDX identifier such as CC-BY-4.0, or one of ${words}`);
}

export type Licensed = { name: string; licence: string };

/** Those of `sources` that do not let weights be under `licence`. */
export function notAllowing<T extends Licensed>(licence: string, sources: readonly T[]): T[] {
  return sources.filter((source) => !allows(source.licence, licence));
}

function allows(data: string, weights: string): boolean {
  if (weights === PRIVATE || OPEN.has(data)) return true;
  if (data === UNKNOWN_LICENCE || data.startsWith('LicenseRef-') || /-ND(-|$)/.test(data)) return false;
  if (data === weights) return true;
  // A licence that only forbids commercial use lets weights be under another one that does so, too.
  return /-NC-\d/.test(data) && /-NC-/.test(weights);
}

/** Throws an error that names every source that does not allow `licence`, and says what to do. */
export function assertAllowed(licence: string, sources: readonly Licensed[]): void {
  const refused = notAllowing(licence, sources);
  if (refused.length === 0) return;
  const parts = refused.map(({ name, licence: found }) =>
    found === UNKNOWN_LICENCE ? `${name} (its licence is not known)` : `${name} (${found})`,
  );
  const others = [...new Set(refused.map((source) => source.licence))].filter(
    (found) => notAllowing(found, sources).length === 0,
  );
  const ways = [...others.map((found) => `--licence ${found}`), '--licence private, for weights that nobody else gets'];
  throw new Error(
    `--licence ${licence}: found weights that come from ${parts.join(', ')}, wanted sources that allow it: give ${ways.join(', or ')}`,
  );
}
