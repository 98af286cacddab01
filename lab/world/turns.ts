/** What people say between the questions of a longer conversation, and the one thing that is said back: "you're welcome". */
import * as z from 'zod';
import { Frame } from './phrases.ts';
import raw from './turns.json' with { type: 'json' };

const Texts = z.array(z.string().min(3)).min(1);
const Frames = z.array(Frame).min(1);

export const TURNS = z
  .strictObject({
    /** By what the last answer was. */
    acknowledge: z.strictObject({ help: Texts, refusal: Texts, dismissal: Texts }),
    /** Before a question. Those of `question` want a single one behind them; the others bear a wish or a story too. */
    links: z.strictObject({
      statement: Texts,
      question: Texts,
      borderline: Texts,
      harmful: Texts,
      newTopic: Texts,
      afterThanks: Texts,
    }),
    /** Another topic, by its title alone. */
    titles: Frames,
    /** More facts about what was asked; `quoted` repeats one that was told. */
    more: z.strictObject({ open: Texts, quoted: Frames }),
    /** Is that hazard of yours good advice? */
    doubt: Frames,
    /** The same question once more, by its kind, or after an answer that made light of it. */
    insist: z.strictObject({ ordinary: Texts, borderline: Texts, harmful: Texts, dismissed: Texts }),
    thanks: Texts,
    /** Answers to thanks. The oracle knows them as filler. */
    welcome: Texts,
  })
  .parse(raw);
