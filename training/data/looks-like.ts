/** Which layout a row has that was given as another one: most rows fail because of that. */
import type * as z from 'zod';
import { Alpaca, Dolly, Messages } from './dialogue-rows.ts';
import { BeaverTails } from './labelled-answers.ts';
import { HhMessages, HhRlhf, Pair, PkuSafeRlhf, Trl, UltraFeedback } from './preference-rows.ts';

/** The first that fits is meant. `trl` comes last, because it takes rows of others in part. */
const PAIRS: Readonly<Record<string, z.ZodType>> = {
  plimsoll: Pair,
  'pku-saferlhf': PkuSafeRlhf,
  'hh-messages': HhMessages,
  'hh-rlhf': HhRlhf,
  beavertails: BeaverTails,
  ultrafeedback: UltraFeedback,
  trl: Trl,
};
const DIALOGUES: Readonly<Record<string, z.ZodType>> = { alpaca: Alpaca, dolly: Dolly, messages: Messages };

/** The keys of a row. Where two layouts are equally near, the first is meant. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  plimsoll: ['prompt', 'response_0', 'response_1', 'better', 'safer'],
  'pku-saferlhf': ['prompt', 'response_0', 'response_1', 'better_response_id', 'safer_response_id'],
  trl: ['prompt', 'chosen', 'rejected'],
  'hh-messages': ['messages', 'chosen', 'rejected'],
  beavertails: ['prompt', 'response', 'is_safe'],
  alpaca: ['instruction', 'output'],
  dolly: ['instruction', 'response'],
  messages: ['messages'],
};

/** For an error about `row`: what it looks like, or the layout that it misses narrowly. */
export function looksLike(row: unknown): string | null {
  const fits = (layouts: typeof PAIRS) => Object.keys(layouts).find((name) => layouts[name]!.safeParse(row).success);
  const pairs = fits(PAIRS);
  if (pairs !== undefined) return `the row looks like ${pairs}: --pairs ${pairs}:FILE`;
  const dialogue = fits(DIALOGUES);
  if (dialogue !== undefined) {
    return `the row looks like ${dialogue}, one conversation and no pair of answers: sft --dialogues ${dialogue}:FILE`;
  }
  return nearMiss(row);
}

function nearMiss(row: unknown): string | null {
  if (typeof row !== 'object' || row === null) return null;
  const found = Object.keys(row);
  const near = Object.entries(KEYS)
    .map(([name, keys]) => ({ name, keys, has: keys.filter((key) => found.includes(key)).length / keys.length }))
    .reduce((a, b) => (b.has > a.has ? b : a));
  if (near.has < 0.5) return `its keys are ${found.join(', ')}`;
  return `the row looks like ${near.name}, which has ${near.keys.join(', ')}; its keys are ${found.join(', ')}`;
}
