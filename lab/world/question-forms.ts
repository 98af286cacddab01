/**
 * The ways people come to a topic other than by a plain question: two questions at once, naming what it is about, quoting
 * something they were told. Wordings of an ask are few; quoting ties every word of a topic's own sentences to it, which is what
 * a question in words never seen before is recognised by.
 */

import type { Random } from '#training/data/random.ts';
import { fillFrame, PHRASES } from './phrases.ts';
import type { QuestionKind } from './rows.ts';
import type { Ask, Statement, Topic } from './schema.ts';

type QuestionForm = 'asked' | 'doubled' | 'titled' | 'quoted';

export const FORM_SHARES: Record<QuestionForm, number> = { asked: 0.6, doubled: 0.1, titled: 0.1, quoted: 0.2 };

/** An ordinary question may give nothing but the title. */
const TITLE_ALONE_CHANCE = 0.4;

export type Asked = {
  topic: Topic;
  ask: Ask;
  questionKind: QuestionKind;
  /** The wording drawn, and those it was drawn from. */
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
  // A wish to do harm quotes nobody.
  quoted: ({ topic, ask, questionKind, wording, random }) => {
    const { fact, hazard } = PHRASES.question.quotes;
    if (questionKind === 'harmful') return wording;
    return questionKind === 'ordinary'
      ? fillFrame(random.pick(fact), sayOne(topic.facts, ask.facts, random))
      : fillFrame(random.pick(hazard), sayOne(topic.hazards, ask.hazards, random));
  },
};

/** Never more words than a person types who is in a hurry. */
const MAX_KEYWORDS = 3;

/**
 * The same question in one of the forms, drawn by its share; with `keywordShare` first of all in nothing but keywords of its topic, where it has
 * any. Words that no wording holds are learned that way.
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
