/**
 * The groups of sources that we leave out together, to see how the model does on text unlike its
 * training data. Sets by one maker or in one style share a fold. Otherwise paraphrases of left-out
 * prompts would stay in training.
 */
export const FOLDS: readonly (readonly string[])[] = [
  ['Plimsoll own prompts', 'rasbt/LLMs-from-scratch'],
  ['Plimsoll contrast pairs', 'Tiny Shakespeare (karpathy/char-rnn)'],
  ['Plimsoll small world', 'google-research-datasets/Taskmaster', 'C4 sample (hiyouga/LLaMA-Factory)'],
  [
    'CatQA (declare-lab/red-instruct)',
    'DangerousQA (declare-lab/red-instruct)',
    'HarmfulQA (declare-lab/red-instruct)',
    'GPTeacher/Codegen (teknium1/GPTeacher)',
    'GPTeacher/Roleplay (teknium1/GPTeacher)',
  ],
  [
    'AdvBench (Princeton-SysML/Jailbreak_LLM)',
    'boyiwei/alignment-attribution-code',
    'SimpleSafetyTests (bertiev/SimpleSafetyTests)',
    'OpenAI moderation eval (openai/moderation-api-release)',
    'OASST sample trees (LAION-AI/Open-Assistant)',
    'PandaLM test (WeOpenML/PandaLM)',
    'politeness pairs (rasbt/LLMs-from-scratch)',
  ],
  [
    'HarmBench adversarial-training behaviours (busycalibrating/AdversariaLLM)',
    'Self-Reminder jailbreaks (yjw1029/Self-Reminder-Data)',
    'CyberSecEval MITRE-FRR (meta-llama/PurpleLlama)',
    'CyberSecEval prompt-injection (meta-llama/PurpleLlama)',
    'GSM8K train (stanford-cs336/assignment5-alignment)',
  ],
];

/** The fold of a source. Throws for a source that is in no fold. */
export function foldOf(source: string): number {
  const fold = FOLDS.findIndex((sources) => sources.includes(source));
  if (fold === -1) throw new Error(`"${source}" is in no fold (lab/classifier/folds.ts)`);
  return fold;
}
