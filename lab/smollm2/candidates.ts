/**
 * Everything that the recipe may choose from: pairs, and prompts for the base to answer. Each is
 * placed in a part of the split before anything else happens to it.
 */
import path from 'node:path';
import * as z from 'zod';
import type { Message } from '#shared/protocol/generate.ts';
import { PREFERENCE_LAYOUTS } from '#training/data/preferences.ts';
import { openingTurn } from '#training/data/prompt-key.ts';
import { readRows } from '#training/data/read-rows.ts';
import type { Preference } from '#training/data/rows.ts';
import { nearStricter } from '../split/near-prompts.ts';
import { PARTS, type Part, splitOf, textKey, topicKey } from '../split/split.ts';
import { everydayPrompts } from './everyday.ts';
import type { Settings, Stratum } from './settings.ts';
import { EVERYDAY, type Family, sourceOf, WORLD } from './sources.ts';
import { worldPairsByPart, worldQuestions } from './world-rows.ts';

/**
 * `key` decides the part: the topic, the behaviour or the words of the opening turn. Own answers
 * have a `promptSource`: where the prompt is from that they answer.
 */
export type Candidate = Preference & { family: Family; key: string; part: Part; promptSource?: string | undefined };
export type PromptCandidate = { prompt: Message[]; stratum: Stratum; source: string; key: string; part: Part };

export type Candidates = {
  pairs: Candidate[];
  prompts: PromptCandidate[];
  /** Rows of sources that the table refuses, by source. */
  refused: Record<string, number>;
  /** Rows left out because they are near a prompt of a stricter part. */
  near: { pairs: number; prompts: number };
};

const PAIR_FILES = [
  { file: 'pref_refusal_direction.jsonl.gz', layout: 'plimsoll' },
  { file: 'pref_hh_rlhf_harmless_test.jsonl.gz', layout: 'hh-messages' },
  { file: 'pref_helpful_mixed.jsonl.gz', layout: 'plimsoll' },
] as const;
const INSTRUCTIONS_FILE = 'instr_rasbt_1100.jsonl.gz';
const Instruction = z.object({ instruction: z.string().min(1), input: z.string().nullish(), source: z.string() });

/** The files under `--data` that are read. */
export const DATA_FILES: readonly string[] = [...PAIR_FILES.map(({ file }) => file), INSTRUCTIONS_FILE];

export async function readCandidates({ data, settings }: { data: string; settings: Settings }): Promise<Candidates> {
  const refused: Record<string, number> = {};
  const pairs = [...worldCandidates(settings), ...(await publicCandidates(data, refused))];
  const prompts = distinct([
    ...worldPrompts(settings.seed),
    ...everydayPrompts().map((text) => textPrompt(text, 'everyday', EVERYDAY)),
    ...pairs.flatMap(({ prompt, family, source }) =>
      family === 'hh' || family === 'refusal-direction' ? [textPrompt(openingTurn(prompt), family, source)] : [],
    ),
    ...(await instructionPrompts(data, refused)),
  ]);
  const near = nearStricter([...pairs, ...prompts].map(({ prompt, part }) => ({ text: openingTurn(prompt), part })));
  const kept = {
    pairs: pairs.filter((_, i) => !near[i]),
    prompts: prompts.filter((_, i) => !near[pairs.length + i]),
  };
  return {
    ...kept,
    refused,
    near: { pairs: pairs.length - kept.pairs.length, prompts: prompts.length - kept.prompts.length },
  };
}

function worldCandidates(settings: Settings): Candidate[] {
  return worldPairsByPart(settings).map(({ topic, ...pair }) => ({ ...pair, family: 'world', key: topicKey(topic) }));
}

async function publicCandidates(data: string, refused: Record<string, number>): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const { file, layout } of PAIR_FILES) {
    const at = path.join(data, file);
    for await (const pair of PREFERENCE_LAYOUTS[layout](at, { dimension: 'safer' })) {
      const source = sourceOf(pair.source, at);
      if (source === null) {
        refused[pair.source] = (refused[pair.source] ?? 0) + 1;
        continue;
      }
      const key = textKey(openingTurn(pair.prompt));
      found.push({ ...pair, family: source.family, key, part: splitOf(key) });
    }
  }
  return found;
}

function worldPrompts(seed: number): PromptCandidate[] {
  return PARTS.flatMap((part) =>
    worldQuestions(part, seed).map(({ messages, questionKind, topic }) => ({
      prompt: [...messages],
      stratum: `world, ${questionKind}` as const,
      source: WORLD,
      key: topicKey(topic),
      part,
    })),
  );
}

async function instructionPrompts(data: string, refused: Record<string, number>): Promise<PromptCandidate[]> {
  const found: PromptCandidate[] = [];
  const at = path.join(data, INSTRUCTIONS_FILE);
  for await (const { instruction, input, source } of readRows(at, Instruction)) {
    if (sourceOf(source, at) === null) refused[source] = (refused[source] ?? 0) + 1;
    else found.push(textPrompt(input?.trim() ? `${instruction}\n\n${input.trim()}` : instruction, 'rasbt', source));
  }
  return found;
}

function textPrompt(text: string, stratum: Stratum, source: string): PromptCandidate {
  const key = textKey(text);
  return { prompt: [{ role: 'user', content: text }], stratum, source, key, part: splitOf(key) };
}

/** The first prompt of each wording. */
function distinct(prompts: readonly PromptCandidate[]): PromptCandidate[] {
  const seen = new Set<string>();
  return prompts.filter(({ prompt }) => {
    const words = textKey(openingTurn(prompt));
    if (words === '' || seen.has(words)) return false;
    seen.add(words);
    return true;
  });
}
