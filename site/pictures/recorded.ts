/** What a real stack answered, once. The pictures are drawn from it, so they can be drawn again. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';

const Probability = z.number().min(0).max(1);

/** A token that was drawn. Log-probabilities and `spent` are in nats. */
const Token = z.object({ text: z.string(), weight: Probability, spent: z.number().nullable() });

/** What a token that might have come first was worth to each expert, and to the mixture. */
const Candidate = z.object({ text: z.string(), lp_s: z.number(), lp_h: z.number(), lp: z.number() });

const Answer = z.object({
  key: z.string(),
  floor: z.number(),
  budget: z.number().nullable(),
  tokens: z.array(Token),
  /** The candidates for the first token, likeliest under the mixture first. */
  first: z.array(Candidate),
});

const Look = z.object({ name: z.string(), probability: Probability });

export const Recorded = z.object({
  model: z.string(),
  question: z.string(),
  /** The demo's three tenants: strict, balanced, open. */
  answers: z.tuple([Answer, Answer, Answer]),
  /** The open tenant's again, its spending counted: under a budget too large to matter. */
  uncapped: Answer,
  second_look: z.object({
    key: z.string(),
    question: z.string(),
    edge: z.array(Look),
    backend: z.array(Look),
    because: z.string(),
    floor: z.number(),
    budget: z.number().nullable(),
  }),
});
export type Recorded = z.infer<typeof Recorded>;
export type Answer = z.infer<typeof Answer>;

export const RECORDED_FILE = path.join(import.meta.dirname, 'recorded.json');

export const recorded = (): Recorded => Recorded.parse(JSON.parse(readFileSync(RECORDED_FILE, 'utf8')));
