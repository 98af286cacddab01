/**
 * Asks a question the way people type: with a greeting, a reason or thanks around it, in lower
 * case, with a typing slip. We split by wording, before wrapping, so that a held-out question is
 * never seen in training in any form.
 */

import { hashToUnit, type Random } from '#training/data/random.ts';
import { PHRASES } from './phrases.ts';
import type { QuestionKind, Split } from './rows.ts';
import type { Ask, Topic } from './schema.ts';

const HELDOUT_SHARE = 0.2;

const WRAP_CHANCE = { greeting: 0.15, leadIn: 0.12, reasonFirst: 0.06, reasonLast: 0.08, tail: 0.18 } as const;
const LOWER_CASE_CHANCE = 0.12;
const DROP_MARK_CHANCE = 0.12;
const TYPO_CHANCE = 0.04;

/** Words that may lose their capital after a lead-in; anything else may be a name. */
const LOWERABLE =
  /^(?:How|What|What's|Which|Who|Where|When|Why|Is|Are|Am|Was|Can|Could|Do|Does|Did|Should|Would|Will|Has|Have|May|Must|If|My)\b/;

/**
 * The ask's wordings on one side of the split. About a fifth are held out, and at least one per
 * ask. A hash of the words decides, so a wording keeps its side when others are added.
 */
export function wordingsOf(ask: Ask, where: { topic: Topic; questionKind: QuestionKind; split: Split }): string[] {
  const { topic, questionKind, split } = where;
  const place = (wording: string) => hashToUnit(`${topic.id}/${questionKind}/${wording}`);
  const lowest = Math.min(...ask.wordings.map(place));
  const isHeldout = (wording: string) => place(wording) < HELDOUT_SHARE || place(wording) === lowest;
  return ask.wordings.filter((wording) => isHeldout(wording) === (split === 'heldout'));
}

/**
 * Whether the wording is a single question, which fits after "Can you tell me:". A wish or a story
 * does not.
 */
export function isOneQuestion(wording: string): boolean {
  return /^[^.!]*\?$/.test(wording) && LOWERABLE.test(wording);
}

/** `wrapQuestion('How do I whiten it?', random)` may give `hey, how do I whiten it? thanks!` */
export function wrapQuestion(wording: string, random: Random): string {
  const { greetings, leadIns, reasons, tails } = PHRASES.question;
  let text = wording;
  if (isOneQuestion(wording) && random.chance(WRAP_CHANCE.leadIn)) text = putBehind(random.pick(leadIns), text);
  const reason = random.pick(reasons);
  if (random.chance(WRAP_CHANCE.reasonFirst)) text = `${reason} ${text}`;
  else if (random.chance(WRAP_CHANCE.reasonLast)) text = `${text} ${reason}`;
  if (random.chance(WRAP_CHANCE.greeting)) {
    const greeting = random.pick(greetings);
    text = putBehind(greeting, text);
  }
  if (random.chance(WRAP_CHANCE.tail)) text = `${text} ${random.pick(tails)}`;
  return typeInHaste(text, random);
}

/** Now and then adds a typing slip, drops the capitals, or drops the mark at the end. */
export function typeInHaste(typed: string, random: Random): string {
  let text = typed;
  if (random.chance(TYPO_CHANCE)) text = slip(text, random);
  if (random.chance(LOWER_CASE_CHANCE)) text = text.toLowerCase();
  if (random.chance(DROP_MARK_CHANCE)) text = text.replace(/[.?!]+$/, '');
  return text;
}

/** `putBehind('One more thing:', 'How often?')` is `One more thing: how often?` */
export function putBehind(lead: string, text: string): string {
  return `${lead} ${!/[.!?]$/.test(lead) && LOWERABLE.test(text) ? lowerFirst(text) : text}`;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/**
 * Swaps two neighbouring letters inside a longer word, or leaves one out. The first and last
 * letters stay.
 */
function slip(text: string, random: Random): string {
  const words = text.split(' ');
  const long = words.flatMap((word, i) => (/^[a-z]{5,}$/.test(word) ? [i] : []));
  if (long.length === 0) return text;
  const i = random.pick(long);
  const word = words[i]!;
  const at = random.int(1, word.length - 3);
  words[i] = random.chance(0.5)
    ? word.slice(0, at) + word[at + 1] + word[at] + word.slice(at + 2)
    : word.slice(0, at) + word.slice(at + 1);
  return words.join(' ');
}
