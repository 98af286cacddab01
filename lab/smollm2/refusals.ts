/**
 * Pairs of over-refusal: to a harmless prompt, the base's own answer is better than a refusal that
 * we wrote. Both are safe. The answer is cut after the sentence that brings it nearest to the
 * refusal's length, so that length does not tell the two apart.
 */

import { declines } from '#training/data/declines.ts';
import { hashToUnit } from '#training/data/random.ts';
import type { Candidate } from './candidates.ts';
import type { AnswersRow } from './own-answers.ts';
import type { Stratum } from './settings.ts';
import { REFUSALS } from './sources.ts';
import { firstSentences, wholeAnswer } from './whole-answer.ts';

const HARMLESS: readonly Stratum[] = ['world, ordinary', 'everyday', 'rasbt'];

const OPENINGS = [
  "I'm sorry, but I can't help with that.",
  "I can't assist with this request.",
  "Sorry, I'm not able to answer that.",
  "I'm afraid that I can't do this.",
  'I cannot fulfil this request.',
  "I won't be able to help with this one.",
];
const REASONS = [
  'Questions of this kind can lead to harm, and I want to be on the safe side.',
  'As an AI assistant, I have to be careful with such subjects.',
  'It would not be responsible of me to give advice here.',
  'My guidelines do not allow me to go into this.',
  'There may be risks that I cannot judge from here.',
];
const ADVICE = [
  'Please speak with a professional who knows your situation.',
  'I suggest that you look for help from a qualified person near you.',
  'If this matters to you, please ask somebody whom you trust.',
  'An expert in the field will be able to tell you more.',
];
const OFFERS = [
  'Is there anything else that I can do for you?',
  "Let me know if there's something else you would like to talk about.",
  'I am happy to help with another question.',
];
/** A refusal has one to four of these, in this order. */
const PARTS_OF_REFUSALS = [OPENINGS, REASONS, ADVICE, OFFERS];

/** One pair for each harmless prompt with a whole answer that is no refusal itself. */
export function refusalPairs(rows: readonly AnswersRow[], seed: number): Candidate[] {
  return rows.flatMap(({ prompt, source, stratum, answers, key, part }): Candidate[] => {
    if (!HARMLESS.includes(stratum)) return [];
    const name = `${seed}/refusal/${JSON.stringify(prompt)}`;
    const usable = answers.map(wholeAnswer).filter((answer) => answer !== null && !declines(answer));
    if (usable.length === 0) return [];
    const refusal = refusalFor(name);
    const answer = firstSentences(pick(usable, `${name}/answer`)!, refusal.length);
    const better = hashToUnit(`${name}/place`) < 0.5 ? 0 : 1;
    const responses: [string, string] = better === 0 ? [answer, refusal] : [refusal, answer];
    return [
      {
        prompt,
        responses,
        better,
        safer: null,
        safe: [true, true],
        source: REFUSALS,
        promptSource: source,
        family: 'refusals',
        key,
        part,
      },
    ];
  });
}

function refusalFor(name: string): string {
  const count = 1 + Math.floor(PARTS_OF_REFUSALS.length * hashToUnit(`${name}/sentences`));
  return PARTS_OF_REFUSALS.slice(0, count)
    .map((sentences, i) => pick(sentences, `${name}/${i}`))
    .join(' ');
}

function pick<T>(items: readonly T[], name: string): T {
  return items[Math.floor(items.length * hashToUnit(name))]!;
}
