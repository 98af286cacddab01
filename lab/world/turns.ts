/**
 * What people say between the questions of a longer conversation, and the one reply that the
 * assistant gives to such things: "you're welcome".
 */
import * as z from 'zod';
import { Frame } from './phrases.ts';
import raw from './turns.json' with { type: 'json' };

const Texts = z.array(z.string().min(3)).min(1);
const Frames = z.array(Frame).min(1);

export const TURNS = z
  .strictObject({
    /** Remarks on the last answer, by the kind of that answer. */
    acknowledge: z.strictObject({ help: Texts, refusal: Texts, dismissal: Texts }),
    /**
     * What comes before a question. A link in `question` must be followed by a single question. A
     * wish or a story may follow the others.
     */
    links: z.strictObject({
      statement: Texts,
      question: Texts,
      borderline: Texts,
      harmful: Texts,
      newTopic: Texts,
      afterThanks: Texts,
    }),
    /** Change to another topic, by its title. */
    titles: Frames,
    /** Ask for more facts about the same thing; `quoted` repeats one that was told. */
    more: z.strictObject({ open: Texts, quoted: Frames }),
    /** Ask whether the hazard just told is good advice. */
    doubt: Frames,
    /**
     * Ask the same question again, by the kind of question. `dismissed` follows an answer that made
     * light of it.
     */
    insist: z.strictObject({ ordinary: Texts, borderline: Texts, harmful: Texts, dismissed: Texts }),
    thanks: Texts,
    /** Answers to thanks. The oracle knows them as filler. */
    welcome: Texts,
  })
  .parse(raw);
