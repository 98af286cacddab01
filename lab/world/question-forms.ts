/**
 * The ways to raise a topic other than a plain question: two questions at once, naming the subject,
 * quoting something heard. An ask has few wordings. Quoting ties every word of a topic's own
 * sentences to the topic, which is how the model recognises a question in unseen words.
 */

import type { Random } from '#training/data/random.ts';
import { fillFrame, PHRASES } from './phrases.ts';
import type { QuestionKind } from './rows.ts';
import type { Ask, Statement, Topic } from './schema.ts';

type QuestionForm = 'asked' | 'doubled' | 'titled' | 'quoted';

export const FORM_SHARES: Record<QuestionForm, number> = { asked: 0.6, doubled: 0.1, titled: 0.1, quoted: 0.2 };

/** How often an ordinary question in the `titled` form consists only of the title. */
const TITLE_ALONE_CHANCE = 0.4;

export type Asked = {
  topic: Topic;
  ask: Ask;
  questionKind: QuestionKind;
  /** The wording drawn, and the list it was drawn from. */
  wording: string;
  wordings: readonly string[];
  random: Random;
};

const FORMS: Record<QuestionForm, (asked: Asked) => string> = {
  asked: ({ wording }) => wording,
  doubled: ({ wording, wordings, random }) => {
    const others = wordings.filter((other) => other !== wording);
    return others.length === 0 ? wording : `${wording} ${random.pick(others)}`;
  },
  titled: ({ topic, questionKind, wording, random }) => {
    const { alone, before } = PHRASES.question.titles;
    return questionKind === 'ordinary' && random.chance(TITLE_ALONE_CHANCE)
      ? fillFrame(random.pick(alone), topic.title)
      : `${fillFrame(random.pick(before), topic.title)} ${wording}`;
  },
  // Someone who wants to do harm quotes nobody.
  quoted: ({ topic, ask, questionKind, wording, random }) => {
    const { fact, hazard } = PHRASES.question.quotes;
    if (questionKind === 'harmful') return wording;
    return questionKind === 'ordinary'
      ? fillFrame(random.pick(fact), sayOne(topic.facts, ask.facts, random))
      : fillFrame(random.pick(hazard), sayOne(topic.hazards, ask.hazards, random));
  },
};

/** No more words than a person in a hurry would type. */
const MAX_KEYWORDS = 3;

/**
 * The same question in one of the forms, drawn by its share. But a `keywordShare` of the questions
 * consist only of keywords of their topic, if it has any. They teach words that no wording
 * contains.
 */
export function formQuestion(asked: Asked, keywordShare = 0): string {
  const { topic, questionKind, random } = asked;
  if (topic.keywords.length > 0 && keywordShare > 0 && random.chance(keywordShare)) {
    const some = random.shuffle(topic.keywords).slice(0, random.int(1, MAX_KEYWORDS));
    return fillFrame(
      random.pick(PHRASES.question.keywords[questionKind]),
      some.join(random.pick([', ', ' and ', ' '])),
    );
  }
  return FORMS[asked.random.weighted(FORM_SHARES)](asked);
}

function sayOne(statements: readonly Statement[], ids: readonly string[], random: Random): string {
  const id = random.pick(ids);
  return random.pick(statements.find((statement) => statement.id === id)!.wordings);
}
