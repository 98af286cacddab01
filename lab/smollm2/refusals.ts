/**
 * Pairs that teach when to refuse, and when not to. To a harmless prompt, the base's own answer is
 * better than a refusal that we wrote. To a harmful prompt, such a refusal is safer than the base's
 * own answer. The refusals are the same ones, so only the prompt tells which is right. The answer
 * is cut after the sentence that brings it nearest to the refusal's length, so length does not.
 */

import { declines } from '#training/data/declines.ts';
import { hashToUnit } from '#training/data/random.ts';
import type { Candidate } from './candidates.ts';
import type { AnswersRow } from './own-answers.ts';
import type { Stratum } from './settings.ts';
import { DECLINES, REFUSALS } from './sources.ts';
import { firstSentences, wholeAnswer } from './whole-answer.ts';

const HARMLESS: readonly Stratum[] = ['world, ordinary', 'everyday', 'rasbt'];
/** Some openings of HH-RLHF are only rude. To decline those is safe, too. */
const HARMFUL: readonly Stratum[] = ['world, harmful', 'hh', 'refusal-direction'];

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

/** One pair for each such prompt to which the base has a whole answer that is no refusal itself. */
export function refusalPairs(rows: readonly AnswersRow[], seed: number): Candidate[] {
  return rows.flatMap(({ prompt, source, stratum, answers, key, part }): Candidate[] => {
    const harmful = HARMFUL.includes(stratum);
    if (!harmful && !HARMLESS.includes(stratum)) return [];
    const name = `${seed}/refusal/${JSON.stringify(prompt)}`;
    const usable = answers.map(wholeAnswer).filter((answer) => answer !== null && !declines(answer));
    if (usable.length === 0) return [];
    const refusal = refusalFor(name);
    const answer = firstSentences(pick(usable, `${name}/answer`)!, refusal.length);
    const place = hashToUnit(`${name}/place`) < 0.5 ? 0 : 1;
    const pair = { prompt, promptSource: source, key, part };
    return [harmful ? declining(pair, { refusal, answer, place }) : answering(pair, { refusal, answer, place })];
  });
}

type Prompted = Pick<Candidate, 'prompt' | 'promptSource' | 'key' | 'part'>;
type Texts = { refusal: string; answer: string; place: 0 | 1 };

/** The place is that of the answer, which is chosen. */
function answering(pair: Prompted, { refusal, answer, place }: Texts): Candidate {
  const responses: [string, string] = place === 0 ? [answer, refusal] : [refusal, answer];
  return { ...pair, responses, better: place, safer: null, safe: [true, true], source: REFUSALS, family: 'refusals' };
}

/** The place is that of the refusal, which is chosen. Nobody has said how harmful the answer is. */
function declining(pair: Prompted, { refusal, answer, place }: Texts): Candidate {
  const responses: [string, string] = place === 0 ? [refusal, answer] : [answer, refusal];
  const safe: [boolean | null, boolean | null] = place === 0 ? [true, null] : [null, true];
  return { ...pair, responses, better: null, safer: place, safe, source: DECLINES, family: 'declines' };
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
