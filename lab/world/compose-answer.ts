/**
 * Composes an answer of a given kind from a topic's tagged sentences, and reports what it put in.
 * The kinds are the four corners of helpful/useless and safe/hazardous. A real help desk mixes them
 * less neatly, but only known corners give labels without a judge.
 */

import type { Random } from '#training/data/random.ts';
import { PHRASES, type Tone } from './phrases.ts';
import type { AnswerKind, AnswerTruth, QuestionKind } from './rows.ts';
import type { Ask, Statement, Topic } from './schema.ts';

/** A longer answer loses facts and gets no opener or closer: the model's context is small. */
const MAX_WORDS = 75;
/** A shorter helpful answer gets more facts, as long as the topic has any. */
const MIN_WORDS = 30;
const MAX_SENTENCES = 5;

const OPENER_CHANCE = 0.25;
const CLOSER_CHANCE = 0.15;
const EXTRA_FACT_CHANCE = 0.15;
/** How often the answer to an ordinary ask that names cautions includes one of them. */
const ORDINARY_CAUTION_CHANCE = 0.35;

export interface ComposedAnswer {
  text: string;
  truth: AnswerTruth;
}

export interface AnswerRequest {
  topic: Topic;
  ask: Ask;
  questionKind: QuestionKind;
  kind: AnswerKind;
  random: Random;
}

interface Part {
  role: 'opener' | 'fact' | 'hazard' | 'caution' | 'refusal' | 'dismissal' | 'tail' | 'closer';
  text: string;
  id?: string;
}

const COMPOSERS: Record<AnswerKind, (request: AnswerRequest) => Part[]> = {
  helpful_safe: composeHelpfulSafe,
  helpful_hazardous: composeHelpfulHazardous,
  useless_safe: composeUselessSafe,
  useless_hazardous: composeUselessHazardous,
};

/**
 * With `kind: 'useless_safe'` the answer is a refusal:
 * `composeAnswer({ topic, ask, questionKind: 'harmful', kind, random }).truth.refuses === true`
 */
export function composeAnswer(request: AnswerRequest): ComposedAnswer {
  const parts = COMPOSERS[request.kind](request);
  const idsOf = (role: Part['role']) => parts.flatMap((part) => (part.role === role && part.id ? [part.id] : []));
  const [facts, hazards, cautions] = [idsOf('fact'), idsOf('hazard'), idsOf('caution')];
  const dismissals = parts.filter((part) => part.role === 'dismissal').length;
  return {
    text: parts.map((part) => part.text).join(' '),
    truth: {
      kind: request.kind,
      safe: hazards.length === 0 && dismissals === 0,
      helpful: facts.length > 0,
      facts,
      hazards,
      cautions,
      refuses: parts.some((part) => part.role === 'refusal'),
      dismissals,
    },
  };
}

function composeHelpfulSafe(request: AnswerRequest): Part[] {
  const { topic, ask, questionKind, random } = request;
  const sensitive = questionKind !== 'ordinary';
  const cautionIds = sensitive
    ? random.sample(ask.cautions, random.chance(0.35) ? 2 : 1)
    : random.chance(ORDINARY_CAUTION_CHANCE)
      ? random.sample(ask.cautions, 1)
      : [];
  const cautions = say('caution', topic.cautions, cautionIds, random);
  const facts = pickFacts(request, { wanted: sensitive || random.chance(0.4) ? 2 : 3, others: cautions });
  const cautionsFirst = sensitive && random.chance(0.6);
  const body = cautionsFirst ? [...cautions, ...facts] : [...facts, ...cautions];
  return withFrame(body, sensitive ? random.pick(['plain', 'careful', 'careful']) : 'plain', random);
}

function composeHelpfulHazardous(request: AnswerRequest): Part[] {
  const { topic, ask, questionKind, random } = request;
  const complying = ask.hazards.length > 0 ? ask.hazards : topic.hazards.map((hazard) => hazard.id);
  const hazards = say('hazard', topic.hazards, random.sample(complying, random.chance(0.4) ? 2 : 1), random);
  const wanted = hazards.length === 2 ? random.pick([1, 2]) : random.pick([2, 2, 3]);
  const facts = pickFacts(request, { wanted, others: hazards });
  const body = random.chance(0.5) ? [...hazards, ...facts] : interleave(facts, hazards, random);
  return withFrame(body, questionKind === 'ordinary' ? 'plain' : random.pick(['plain', 'eager', 'eager']), random);
}

function composeUselessSafe({ topic, random }: AnswerRequest): Part[] {
  const parts: Part[] = [{ role: 'refusal', text: random.pick(topic.refusals) }];
  if (random.chance(0.75)) {
    const texts = random.sample(PHRASES.answer.refusalTails, random.chance(0.3) ? 2 : 1);
    parts.push(...texts.map((text): Part => ({ role: 'tail', text })));
  }
  return parts;
}

function composeUselessHazardous({ topic, random }: AnswerRequest): Part[] {
  const own = random.sample(topic.dismissals, random.chance(0.35) ? 2 : 1);
  const general = random.chance(0.7) ? random.sample(PHRASES.answer.careless, random.chance(0.3) ? 2 : 1) : [];
  const texts = random.chance(0.7) ? [...own, ...general] : [...general, ...own];
  return texts.map((text): Part => ({ role: 'dismissal', text }));
}

/**
 * Takes the ask's own facts first. Other facts of the topic fill up a short answer, or join now and
 * then.
 */
function pickFacts(request: AnswerRequest, { wanted, others }: { wanted: number; others: Part[] }): Part[] {
  const { topic, ask, random } = request;
  const own = random.shuffle(ask.facts);
  const spare = random.shuffle(topic.facts.map((fact) => fact.id).filter((id) => !own.includes(id)));
  const ids = [...own, ...spare].slice(0, wanted);
  const room = MAX_SENTENCES - others.length;
  if (spare.length > 0 && random.chance(EXTRA_FACT_CHANCE) && ids.length < room) {
    ids.push(...spare.filter((id) => !ids.includes(id)).slice(0, 1));
  }
  const facts = say('fact', topic.facts, ids, random);
  for (const id of [...own, ...spare]) {
    if (countWords([...facts, ...others]) >= MIN_WORDS || facts.length >= room) break;
    if (!ids.includes(id)) facts.push(...say('fact', topic.facts, [id], random));
  }
  while (facts.length > 1 && countWords([...facts, ...others]) > MAX_WORDS) facts.pop();
  return facts;
}

function withFrame(body: Part[], tone: Tone, random: Random): Part[] {
  const { openers, closers } = PHRASES.answer;
  let parts = body;
  const add = (framed: Part[]) => {
    if (framed.length <= MAX_SENTENCES && countWords(framed) <= MAX_WORDS) parts = framed;
  };
  if (random.chance(OPENER_CHANCE)) add([{ role: 'opener', text: random.pick(openers[tone]) }, ...parts]);
  if (random.chance(CLOSER_CHANCE)) add([...parts, { role: 'closer', text: random.pick(closers[tone]) }]);
  return parts;
}

function say(role: Part['role'], statements: readonly Statement[], ids: readonly string[], random: Random): Part[] {
  return ids.map((id) => {
    const statement = statements.find((candidate) => candidate.id === id);
    if (!statement) throw new Error(`no ${role} "${id}" in this topic`);
    return { role, id, text: random.pick(statement.wordings) };
  });
}

/** Mixes the two lists at random and keeps the order within each. */
function interleave(left: Part[], right: Part[], random: Random): Part[] {
  const rest = { left: [...left], right: [...right] };
  const mixed: Part[] = [];
  while (rest.left.length + rest.right.length > 0) {
    mixed.push(rest[random.weighted({ left: rest.left.length, right: rest.right.length })].shift()!);
  }
  return mixed;
}

function countWords(parts: readonly Part[]): number {
  return parts.reduce((sum, part) => sum + part.text.split(' ').length, 0);
}
