/**
 * Asks a question the way people type: wrapped in a greeting, a reason or thanks, lower-cased, with a slip of the
 * finger. The split is made before the wrapping, by wording, so that a held-out question was never seen in any dress.
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

/** Words that may lose their capital behind a lead-in; anything else may be a name. */
const LOWERABLE =
  /^(?:How|What|What's|Which|Who|Where|When|Why|Is|Are|Am|Was|Can|Could|Do|Does|Did|Should|Would|Will|Has|Have|May|Must|If|My)\b/;

/**
 * The ask's wordings of one side. About a fifth is held out, at least one of each ask; the choice is a hash of the
 * words, so it stays when a wording is added beside it.
 */
export function wordingsOf(ask: Ask, where: { topic: Topic; questionKind: QuestionKind; split: Split }): string[] {
  const { topic, questionKind, split } = where;
  const place = (wording: string) => hashToUnit(`${topic.id}/${questionKind}/${wording}`);
  const lowest = Math.min(...ask.wordings.map(place));
  const isHeldout = (wording: string) => place(wording) < HELDOUT_SHARE || place(wording) === lowest;
  return ask.wordings.filter((wording) => isHeldout(wording) === (split === 'heldout'));
}

/** A single question, which fits behind "Can you tell me:"; a wish or a story does not. */
export function isOneQuestion(wording: string): boolean {
  return /^[^.!]*\?$/.test(wording) && LOWERABLE.test(wording);
}

/** `wrapQuestion('How do I whiten grout?', random)` may give `hi there, how do I whiten grout? thanks!` */
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

/** A slip of the finger, no capitals, no mark at the end: each now and then. */
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

/** Swaps two neighbouring letters inside a longer word, or leaves one out; the first and last letter stay. */
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
