/**
 * Reads the public prompt files into examples. Some have a licence that lets them shape the
 * weights. We may only measure on the others. A faulty row stops the run, and the error names its
 * file and line.
 */

import { existsSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { promptKey } from '#training/data/prompt-key.ts';
import { hashToUnit } from '#training/data/random.ts';
import { readJsonLines } from '#training/data/read-jsonl.ts';
import type { Example } from './example.ts';
import { type Labelling, labelRow } from './label-maps.ts';
import { LICENCES, LicensedSource } from './licences.ts';
import { groupNearDuplicates } from './near-duplicates.ts';
import { splitOf } from './split.ts';

type Unsplit = Omit<Example, 'split'>;
type Prompt = { text: string; source: string; category: string | null };
type Labelled = { text: string; source: string; labelling: Labelling | null };

const Text = z.string().trim().min(1);
const Turn = z.object({ role: z.string(), content: Text });
const firstTurn = (turns: z.infer<typeof Turn>[]) => turns.find(({ role }) => role === 'user')?.content ?? '';

/** Cuts a long document into passages as long as a long prompt. */
const PASSAGE_CHARS = 400;

const Safety = z
  .object({ prompt: Text, category: z.string().nullable(), source: LicensedSource })
  .transform(({ prompt, category, source }): Prompt[] => [{ text: prompt, source, category }]);
const Instruction = z
  .object({ instruction: Text, input: z.string().nullish(), source: LicensedSource })
  .transform(({ instruction, input, source }): Prompt[] => [
    { text: input?.trim() ? `${instruction}\n${input.trim()}` : instruction, source, category: null },
  ]);
const Preference = z
  .object({ prompt: z.union([Text, z.array(Turn).min(1)]), source: LicensedSource })
  .transform(({ prompt, source }): Prompt[] => [
    { text: typeof prompt === 'string' ? prompt : firstTurn(prompt), source, category: null },
  ]);
const Dialogue = z
  .object({ messages: z.array(Turn).min(1), source: LicensedSource })
  .transform(({ messages, source }): Prompt[] => [{ text: firstTurn(messages), source, category: null }]);
const Document = z.object({ text: Text, source: LicensedSource }).transform(({ text, source }): Prompt[] =>
  Array.from({ length: Math.ceil(text.length / PASSAGE_CHARS) }, (_, i) => ({
    text: text.slice(i * PASSAGE_CHARS, (i + 1) * PASSAGE_CHARS),
    source,
    category: null,
  })),
);

/**
 * Labels the rows while parsing, so that an unknown category is reported with its file and line.
 */
const labelled = (layout: z.ZodType<Prompt[]>) =>
  layout.transform((prompts, context): Labelled[] =>
    prompts.map(({ text, source, category }) => {
      const labelling = labelRow(source, category);
      if (labelling !== 'unknown-category') return { text, source, labelling };
      context.addIssue(`category "${category}" of "${source}" is in no label map (lab/classifier/label-maps.ts)`);
      return z.NEVER;
    }),
  );

export const FILES: readonly { file: string; layout: z.ZodType<Prompt[]> }[] = [
  { file: 'prompts_safety.jsonl.gz', layout: Safety },
  { file: 'prompts_benign_alpaca.jsonl.gz', layout: Safety },
  { file: 'prompts_indirect_injection.jsonl.gz', layout: Safety },
  { file: 'instr_safe_answers.jsonl.gz', layout: Instruction },
  { file: 'instr_rasbt_1100.jsonl.gz', layout: Instruction },
  { file: 'instr_gpteacher.jsonl.gz', layout: Instruction },
  { file: 'instr_gsm8k.jsonl.gz', layout: Instruction },
  { file: 'instr_alpaca.jsonl.gz', layout: Instruction },
  { file: 'instr_dolly.jsonl.gz', layout: Instruction },
  { file: 'pref_helpful_mixed.jsonl.gz', layout: Preference },
  { file: 'dialog_taskmaster4.jsonl.gz', layout: Dialogue },
  { file: 'text_misc.jsonl.gz', layout: Document },
];

/**
 * The most rows to keep of a source. More of one kind would teach nothing new and outvote the rest.
 * A hash picks which rows stay.
 */
const MAX_ROWS: Readonly<Record<string, number>> = {
  'GSM8K train (stanford-cs336/assignment5-alignment)': 1200,
  'GPTeacher/Codegen (teknium1/GPTeacher)': 2500,
  'google-research-datasets/Taskmaster': 600,
  'C4 sample (hiyouga/LLaMA-Factory)': 1200,
  'Tiny Shakespeare (karpathy/char-rnn)': 300,
  'Alpaca instructions (andyrdt/refusal_direction)': 6000,
};
/**
 * HarmfulQA was made by asking a model for harmful questions in every field of study. Many of them
 * are harmless.
 */
const WEIGHTS: Readonly<Record<string, number>> = { 'HarmfulQA (declare-lab/red-instruct)': 0.4 };

export type PublicPrompts = {
  /** Split by groups of near-duplicates. */
  examples: Example[];
  /** May measure the weights, but not train them. */
  measureOnly: Example[];
};

export async function readPublic(dataDir: string, onFile: (file: string) => void = () => {}): Promise<PublicPrompts> {
  if (!existsSync(dataDir))
    throw new Error(`--data ${dataDir}: no such folder (docs/training.md says what belongs there)`);
  const rows = new Map<string, Unsplit>();
  for (const { file, layout } of FILES) {
    onFile(file);
    for await (const prompts of readJsonLines(path.join(dataDir, file), labelled(layout))) {
      for (const { text, source, labelling } of prompts) {
        const key = promptKey(text);
        if (labelling === null || key === '' || rows.has(key)) continue;
        rows.set(key, { text, source, weight: WEIGHTS[source] ?? 1, ...labelling });
      }
    }
  }
  const kept = capSources([...rows]);
  const usable = kept.filter(([, { source }]) => LICENCES[source]!.inWeights);
  const groups = groupNearDuplicates(usable.map(([key]) => key));
  return {
    examples: usable.map(([, row], i) => ({ ...row, split: splitOf(groups[i]!) })),
    measureOnly: kept
      .filter(([, { source }]) => !LICENCES[source]!.inWeights)
      .map(([, row]) => ({ ...row, split: 'heldout' })),
  };
}

function capSources(rows: [key: string, row: Unsplit][]): [string, Unsplit][] {
  const taken = new Map<string, number>();
  const places = new Map(rows.map(([key]) => [key, hashToUnit(`cap/${key}`)]));
  return rows
    .toSorted(([a], [b]) => places.get(a)! - places.get(b)!)
    .filter(([, { source }]) => {
      const count = (taken.get(source) ?? 0) + 1;
      taken.set(source, count);
      return count <= (MAX_ROWS[source] ?? Number.POSITIVE_INFINITY);
    });
}
