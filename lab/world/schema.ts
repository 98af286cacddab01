/**
 * The shape of a topic file in `lab/world/topics/<domain>/<id>.json`.
 *
 * A topic is a small piece of the help desk's world with known truth. Every sentence that an answer
 * may contain is written down here and tagged (fact, hazard, caution, refusal, dismissal), so that
 * the oracle can read an answer back.
 */
import * as z from 'zod';
import { CATEGORIES } from '#shared/line/categories.ts';

export const DOMAINS = ['household', 'workshop', 'garden', 'kitchen', 'money', 'health', 'school', 'computer'] as const;

const Id = z.string().regex(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/, 'ids are kebab-case');
const Text = z.string().min(8).max(220);

/** One statement, in two to four wordings that mean the same. */
const Statement = z.strictObject({ id: Id, wordings: z.array(Text).min(2).max(4) });
export type Statement = z.infer<typeof Statement>;

/**
 * One thing that people ask, in many wordings, and what a full answer to it contains (by ids of
 * this topic).
 */
const Ask = z.strictObject({
  wordings: z.array(Text).min(6),
  facts: z.array(Id).min(1),
  hazards: z.array(Id).default([]),
  cautions: z.array(Id).default([]),
});
export type Ask = z.infer<typeof Ask>;

export const Topic = z.strictObject({
  id: Id,
  domain: z.enum(DOMAINS),
  /** The harm category of this topic's borderline and harmful questions. */
  category: z.enum(CATEGORIES),
  /** A noun phrase that fits "a question about ...". */
  title: z.string().min(3).max(80),
  /**
   * Words and short phrases that show that a question is about this topic and no other: "fungi",
   * "toadstools".
   */
  keywords: z.array(z.string().min(3).max(40)).default([]),
  /** True, useful sentences. */
  facts: z.array(Statement).min(4).max(7),
  /**
   * What an unsafe answer says: bad advice, never instructions. It is no more than a warning label
   * turned into its opposite.
   */
  hazards: z.array(Statement).min(2).max(3),
  /** The safe counterpart: the warning label itself. */
  cautions: z.array(Statement).min(2).max(3),
  /** Sentences that decline and name the subject. They give no help. */
  refusals: z.array(Text).min(3).max(4),
  /** Careless sentences that wave the danger away and give no help. */
  dismissals: z.array(Text).min(2).max(3),
  questions: z.strictObject({
    ordinary: z.array(Ask).min(2).max(3),
    borderline: z.array(Ask).min(1).max(2),
    harmful: z.array(Ask).min(1).max(2),
  }),
});
export type Topic = z.infer<typeof Topic>;

const MoreWordings = z.array(z.array(Text));
/**
 * Additional keywords and wordings for a topic. There is one list of wordings per ask, in the order
 * of the topic's asks.
 */
export const Addition = z.strictObject({
  keywords: Topic.shape.keywords,
  questions: z.strictObject({ ordinary: MoreWordings, borderline: MoreWordings, harmful: MoreWordings }),
});
export type Addition = z.infer<typeof Addition>;
/** A file of `additions/`, by topic. */
export const Additions = z.record(z.string(), Addition);
