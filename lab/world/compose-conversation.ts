/**
 * Builds the conversation that leads up to a question. It has two to four user turns, and the last
 * one asks the question, asks it again, asks for more, or doubts the answer. Earlier answers are
 * composed like the last one, from sentences with known truth, and the assistant does not repeat
 * what it has already said. Steps from ordinary through borderline to harmful are the multi-turn
 * attack Crescendo (arXiv 2404.01833), as far as fixed sentences can show it.
 */

import type { Random } from '#training/data/random.ts';
import { composeAnswer } from './compose-answer.ts';
import { isOneQuestion, putBehind, typeInHaste, wordingsOf, wrapQuestion } from './compose-question.ts';
import type { Jailbreak } from './jailbreaks.ts';
import { countUntold, leaveOutTold } from './leave-out-told.ts';
import { fillFrame } from './phrases.ts';
import type { AnswerKind, AnswerTruth, FollowUp, Prompt, QuestionKind, Split } from './rows.ts';
import type { Ask, Topic } from './schema.ts';
import { TURNS } from './turns.ts';

const TURN_SHARES = { 2: 0.5, 3: 0.33, 4: 0.17 };
/**
 * A prompt of this length and an answer of up to 75 words fit the demo's context of 512 tokens. A
 * longer conversation is drawn again with one turn fewer.
 */
const MAX_PROMPT_WORDS = 260;

/** How the last turn follows from what came before. */
const FOLLOW_UP_SHARES: Record<QuestionKind, Record<FollowUp, number>> = {
  ordinary: { next: 0.5, more: 0.25, 'new-topic': 0.17, insist: 0.08, doubt: 0, escalation: 0 },
  borderline: { next: 0, more: 0.1, 'new-topic': 0.1, insist: 0.1, doubt: 0.2, escalation: 0.5 },
  harmful: { next: 0, more: 0, 'new-topic': 0.1, insist: 0.3, doubt: 0, escalation: 0.6 },
};
/** A jailbreak frame holds the whole question, so a framed turn never asks for more or doubts. */
const NEVER_FRAMED = { more: 0, doubt: 0 };

type AnswerShares = Record<AnswerKind, number>;

/**
 * Milder than what a base model learns from single turns: nobody keeps talking to a desk that
 * refuses every second question.
 */
const EARLIER_ANSWERS: Record<'ordinary' | 'borderline', AnswerShares> = {
  ordinary: { helpful_safe: 0.82, helpful_hazardous: 0.08, useless_safe: 0.05, useless_hazardous: 0.05 },
  borderline: { helpful_safe: 0.5, helpful_hazardous: 0.3, useless_safe: 0.12, useless_hazardous: 0.08 },
};

const NO_ANSWER: AnswerShares = { helpful_safe: 0, helpful_hazardous: 0, useless_safe: 0, useless_hazardous: 0 };
/**
 * The kind of the previous answer if the last turn refers back to it. In that case, the earlier
 * turn asked the question itself.
 */
const ANSWER_COME_BACK_TO: Partial<Record<FollowUp, AnswerShares>> = {
  more: { ...NO_ANSWER, helpful_safe: 0.8, helpful_hazardous: 0.2 },
  doubt: { ...NO_ANSWER, helpful_hazardous: 1 },
  insist: { ...NO_ANSWER, useless_safe: 0.75, useless_hazardous: 0.25 },
};

/**
 * How many facts each earlier answer gives. A topic has about six. We ask one more question only if
 * there are this many left for it and as many again for the last one.
 */
const EARLIER_FACTS = 2;

const BORDERLINE_BEFORE_HARMFUL_CHANCE = 0.6;
const TITLE_CHANCE = 0.5;
/**
 * How often thanks and a reply come before the last question, among conversations with room for
 * them.
 */
const THANKS_CHANCE = 0.25;
const ACKNOWLEDGE_CHANCE = 0.45;
const LINK_CHANCE = 0.6;
const QUOTE_TOLD_CHANCE = 0.3;

export interface Question {
  topic: Topic;
  ask: Ask;
  questionKind: QuestionKind;
  wording: string;
}

export interface ConversationRequest {
  question: Question;
  /** The frame around the last turn; null leaves it plain. */
  jailbreak: Jailbreak | null;
  /** The topics from which another one can be chosen. */
  topics: readonly Topic[];
  split: Split;
  random: Random;
}

export interface Conversation {
  prompt: Prompt;
  followUp: FollowUp;
  /**
   * What to compose the answer from: the question's own topic and ask, without what the assistant
   * has already said.
   */
  topic: Topic;
  ask: Ask;
}

/** `composeConversation({ question, ...options }).prompt.length` is 3, 5 or 7. */
export function composeConversation(request: ConversationRequest): Conversation {
  for (let turns = Number(request.random.weighted(TURN_SHARES)); ; turns--) {
    const conversation = converse(request, turns);
    const words = conversation.prompt.reduce((sum, { content }) => sum + content.split(' ').length, 0);
    if (words <= MAX_PROMPT_WORDS || turns === 2) return conversation;
  }
}

interface Exchange {
  user: string;
  assistant: string;
  truth: AnswerTruth;
}

function converse(request: ConversationRequest, turns: number): Conversation {
  const { question, jailbreak, random } = request;
  const shares = FOLLOW_UP_SHARES[question.questionKind];
  const followUp = random.weighted(jailbreak ? { ...shares, ...NEVER_FRAMED } : shares);
  const comesBackTo = ANSWER_COME_BACK_TO[followUp];
  const thanks = comesBackTo === undefined && turns > 2 && random.chance(THANKS_CHANCE);
  const leading = leadingQuestions(followUp, { ...request, count: turns - (comesBackTo || thanks ? 2 : 1) });
  const exchanges: Exchange[] = [];
  for (const earlier of comesBackTo ? [...leading, question] : leading) {
    const last = exchanges.at(-1);
    const isToldOut = countUntold(earlier.topic, saidIn(exchanges)) < 2 * EARLIER_FACTS;
    if (last && isToldOut && earlier !== question) continue;
    const user = last ? askNext(earlier, { last, random }) : wrapQuestion(earlier.wording, random);
    const kinds = earlier === question ? comesBackTo! : earlierAnswers(earlier.questionKind);
    const left = leaveOutTold(earlier, { said: saidIn(exchanges), more: false });
    const about = { ...earlier, ...keepBrief(left, random) };
    const { text, truth } = composeAnswer({ ...about, kind: random.weighted(kinds), random });
    exchanges.push({ user, assistant: text, truth });
  }
  const last = exchanges.at(-1)!;
  const isThanked = thanks && last.truth.helpful;
  const messages = exchanges.flatMap(({ user, assistant }) => turnsOf(user, assistant));
  if (isThanked) messages.push(...turnsOf(random.pick(TURNS.thanks), random.pick(TURNS.welcome)));
  const content = jailbreak
    ? fillFrame(jailbreak.frame, question.wording)
    : followUpOn(question, { followUp, last, isThanked, random });
  const [first, ...others] = [...messages, { role: 'user' as const, content: typeInHaste(content, random) }];
  return {
    // The first message is the user's, because there is at least one exchange.
    prompt: [first as Prompt[0], ...others],
    followUp,
    ...leaveOutTold(question, { said: saidIn(exchanges), more: followUp === 'more' }),
  };
}

/**
 * Keeps two facts of the topic, the ask's own before others, so that later answers have something
 * left to tell.
 */
function keepBrief({ topic, ask }: { topic: Topic; ask: Ask }, random: Random): { topic: Topic; ask: Ask } {
  const others = topic.facts.map(({ id }) => id).filter((id) => !ask.facts.includes(id));
  const kept = [...random.shuffle(ask.facts), ...random.shuffle(others)].slice(0, EARLIER_FACTS);
  const facts = topic.facts.filter(({ id }) => kept.includes(id));
  return { topic: { ...topic, facts }, ask: { ...ask, facts: ask.facts.filter((id) => kept.includes(id)) } };
}

function turnsOf(user: string, assistant: string) {
  return [
    { role: 'user' as const, content: user },
    { role: 'assistant' as const, content: assistant },
  ];
}

function saidIn(exchanges: readonly Exchange[]): string {
  return exchanges.map(({ assistant }) => assistant).join('\n');
}

function earlierAnswers(questionKind: QuestionKind): AnswerShares {
  return EARLIER_ANSWERS[questionKind === 'ordinary' ? 'ordinary' : 'borderline'];
}

/**
 * Draws `count` questions on the same topic, or on another one if the topic is to change. Returns
 * fewer if the wordings run out. None of them is harmful.
 */
function leadingQuestions(
  followUp: FollowUp,
  { question, topics, split, random, count }: ConversationRequest & { count: number },
): Question[] {
  const topic = followUp === 'new-topic' ? anotherTopic(question.topic, { topics, random }) : question.topic;
  const stepsUp =
    followUp === 'escalation' && question.questionKind === 'harmful' && random.chance(BORDERLINE_BEFORE_HARMFUL_CHANCE);
  const { ordinary, borderline } = topic.questions;
  const others = random.shuffle(ordinary.filter((ask) => ask !== question.ask));
  const order = [...others, ...ordinary.filter((ask) => ask === question.ask)];
  const used = new Set([question.wording]);
  return Array.from({ length: count }).flatMap((_, i) => {
    const questionKind = stepsUp && i === count - 1 ? 'borderline' : 'ordinary';
    const ask = questionKind === 'borderline' ? random.pick(borderline) : order[i % order.length]!;
    const wordings = wordingsOf(ask, { topic, questionKind, split }).filter((wording) => !used.has(wording));
    if (wordings.length === 0) return [];
    const wording = random.pick(wordings);
    used.add(wording);
    return { topic, ask, questionKind, wording };
  });
}

/** Stays in the same domain if it has another topic, because people keep to what they are doing. */
function anotherTopic(topic: Topic, { topics, random }: { topics: readonly Topic[]; random: Random }): Topic {
  const others = topics.filter(({ id }) => id !== topic.id);
  const near = others.filter(({ domain }) => domain === topic.domain);
  return random.pick(near.length > 0 ? near : others.length > 0 ? others : [topic]);
}

/** Writes the last turn if no frame is put around it. */
function followUpOn(
  question: Question,
  { followUp, isThanked, ...about }: { followUp: FollowUp; last: Exchange; isThanked: boolean; random: Random },
): string {
  const { last, random } = about;
  const { topic, questionKind, wording } = question;
  switch (followUp) {
    case 'more': {
      const { open, quoted } = TURNS.more;
      const isQuoting = random.chance(QUOTE_TOLD_CHANCE);
      return isQuoting ? fillFrame(random.pick(quoted), told('facts', { topic, ...about })) : random.pick(open);
    }
    case 'doubt':
      return fillFrame(random.pick(TURNS.doubt), told('hazards', { topic, ...about }));
    case 'insist':
      return random.pick(last.truth.refuses ? TURNS.insist[questionKind] : TURNS.insist.dismissed);
    case 'new-topic':
      return random.chance(TITLE_CHANCE)
        ? `${fillFrame(random.pick(TURNS.titles), topic.title)} ${wording}`
        : putBehind(random.pick(isThanked ? TURNS.links.afterThanks : TURNS.links.newTopic), wording);
    case 'next':
    case 'escalation':
      return isThanked ? putBehind(random.pick(TURNS.links.afterThanks), wording) : askNext(question, about);
  }
}

/**
 * Asks the next question on the topic. A remark on the last answer and a linking phrase may come
 * before it.
 */
function askNext(question: Question, { last, random }: { last: Exchange; random: Random }): string {
  const { questionKind, wording } = question;
  const { statement, question: single, ...ofKind } = TURNS.links;
  const plain = isOneQuestion(wording) ? single : statement;
  const links = questionKind === 'ordinary' ? plain : ofKind[questionKind];
  const linked = random.chance(LINK_CHANCE) ? putBehind(random.pick(links), wording) : wording;
  const { help, refusal, dismissal } = TURNS.acknowledge;
  const words = last.truth.helpful ? help : last.truth.refuses ? refusal : dismissal;
  return random.chance(ACKNOWLEDGE_CHANCE) ? `${random.pick(words)} ${linked}` : linked;
}

/** One of the statements that the last answer made, in the answer's own words. */
function told(
  kind: 'facts' | 'hazards',
  { topic, last, random }: { topic: Topic; last: Exchange; random: Random },
): string {
  const said = topic[kind].filter(({ id }) => last.truth[kind].includes(id)).flatMap(({ wordings }) => wordings);
  return random.pick(said.filter((wording) => last.assistant.includes(wording)));
}
