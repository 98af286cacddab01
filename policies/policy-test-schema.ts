/** A policy's own tests: prompts, and what the policy should make of them. */
import * as z from 'zod';
import { wellFormed } from '#shared/api/well-formed.ts';
import { SIGNALS } from '#shared/line/categories.ts';
import { Action, Share } from '#shared/line/line.ts';
import { canonicalJson } from '#shared/protocol/canonical-json.ts';
import { Words } from './words.ts';

const Signals = z.array(z.enum(SIGNALS));

const Expectation = z
  .strictObject({
    action: Action.exactOptional().describe('exactly this action'),
    floor_at_least: Share.exactOptional().describe('a floor of at least this much'),
    budget_at_most: z.number().min(0).exactOptional().describe('a budget, in nats, of at most this much'),
    fires: Signals.exactOptional().describe('rules for these signals fire, shadow rules too; others may'),
    quiet: Signals.exactOptional().describe('no rule for these signals fires'),
  })
  .refine((expected) => Object.keys(expected).length > 0, {
    error: 'at least one of action, floor_at_least, budget_at_most, fires, quiet',
  });

export const PolicyTest = z.strictObject({
  name: Words.exactOptional().describe('what a report calls the test; without a name, the prompt does'),
  prompt: wellFormed.min(1).max(64_000).describe('the text that the classifier reads'),
  expect: Expectation.describe('what must come of it; a refusal passes any floor and budget'),
});
export type PolicyTest = z.infer<typeof PolicyTest>;

/** Tests in one order, each once, so that equal sets of tests are equal documents. */
export function sortTests(tests: readonly PolicyTest[]): PolicyTest[] {
  const keyed = new Map(tests.map((test) => [canonicalJson([test.name ?? test.prompt, test]), test]));
  return [...keyed.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, test]) => test);
}
