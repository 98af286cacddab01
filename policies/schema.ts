/**
 * The policy language. A policy is JSON, and unknown fields are refused. In a tenant's document
 * `floor` and `budget` decide most of the line, so they have no default: an empty document is a
 * mistake, not an open door. The document of another level (`PolicyPart`) may leave anything out,
 * and restricts nothing there. Both become the same `Policy`, in which every field is filled in.
 *
 * The descriptions on the fields are what editors show, and docs/policies.md is made from them.
 */
import * as z from 'zod';
import { TRACES } from '#shared/api/plimsoll-extension.ts';
import { wellFormed } from '#shared/api/well-formed.ts';
import { Action, BACKEND_MODES, Budget, Earned, MODES, Mode, Opening, Rule, Share } from '#shared/line/line.ts';
import { PolicyTest, sortTests } from './policy-test-schema.ts';
import { KEEPS_NOTHING, Retention, RetentionPart } from './retention.ts';
import { FlaggedRules, PolicyRules, sortRules } from './rule-schema.ts';
import { withDefaultRules } from './unread-rules.ts';
import { Words } from './words.ts';

const limit = () => z.int().min(1).nullable().default(null);
const may = (byDefault: boolean) => z.boolean().default(byDefault);

const Limits = z.strictObject({
  max_tokens: limit().describe('tokens of one answer'),
  requests_per_minute: limit().describe('requests a minute'),
  tokens_per_minute: limit().describe('tokens a minute, prompts and answers together'),
  concurrent_streams: limit().describe('answers at the same time'),
  tokens_per_day: limit().describe('tokens a day'),
  tokens_per_month: limit().describe('tokens a month'),
  tries_per_prompt_per_minute: limit().describe('answers to one prompt a minute; many tries multiply a small risk'),
});

const Shaping = z.strictObject({
  n: limit().describe('most answers to one request (`n`); null: as many as the API allows'),
  logprobs: may(true).describe('whether a request may ask for log-probabilities'),
  bias: may(true).describe('whether a request may bias or ban tokens'),
  penalties: may(true).describe('whether a request may set penalties for repetition'),
  plain_prompts: may(true).describe(
    'whether a request may send plain prompts, which can hold the beginning of an answer',
  ),
  grammar: may(true).describe('whether a request may say what its answer must look like (`response_format`)'),
  tools: may(true).describe('whether a request may offer tools'),
});

const shape = {
  $schema: z.string().exactOptional().describe('the schema of this file, for editors; not kept'),
  description: Words.nullable().default(null).describe('what the policy is for, for people'),
  floor: Share.describe('least weight of the safety expert; where floor and ceiling cross, the floor wins'),
  ceiling: Share.default(1).describe('most weight of the safety expert'),
  opening: Opening.default({ tokens: 0, floor: 0 }).describe('a higher floor for the first tokens of an answer'),
  rule: Rule.default('geometric').describe('how the experts are mixed'),
  budget: Budget.describe(
    'nats by which a whole answer may be likelier than the safety expert finds it; null: no budget',
  ),
  earned: Earned.nullable()
    .default(null)
    .describe('a budget that grows with the answer: `start` nats, and `rate` more for each token; null: all at once'),
  action: Action.default('mix').describe('mix the experts, let the safety expert answer alone, or refuse'),
  refusal: Words.nullable().default(null).describe('what a client reads where the policy refuses, in your words'),
  modes: z
    .array(Mode)
    .refine((modes) => modes.includes('logits'), { error: "a list with 'logits', which needs no permission" })
    .exactOptional()
    .describe(
      'modes that a request may ask for. In `layers` a floor does not bound the output; only the budget does. In `edge` the edge mixes experts of different backends',
    ),
  layers_mode: z.boolean().exactOptional().describe('the older word for `layers` in `modes`'),
  models: z.array(wellFormed.min(1)).nullable().default(null).describe('models that may be asked; null: all'),
  limits: Limits.prefault({}).describe('how much may be asked for; null: no limit'),
  shaping: Shaping.prefault({}).describe('how a request may shape its answer'),
  cache: z
    .strictObject({
      answers: may(false).describe(
        'whether a fixed answer (temperature 0, or a seed) may be given again to the key that asked',
      ),
    })
    .prefault({})
    .describe('what may be kept to answer faster'),
  trace: z.enum(TRACES).default('tokens').describe('the most that a request may ask to be told about its answer'),
  retention: Retention.prefault({}).describe('what may be kept of the traffic'),
  categories: FlaggedRules.default({}).describe('a rule for each signal that should tighten the line'),
  shadow: PolicyRules.default({}).describe('rules that are counted and reported, and not applied'),
  tests: z.array(PolicyTest).default([]).describe("the policy's own tests, which must pass before it goes live"),
};

const TenantFields = z.strictObject(shape);
const PartFields = z.strictObject({
  ...shape,
  floor: shape.floor.default(0),
  rule: shape.rule.unwrap().default('arithmetic').describe(shape.rule.description!),
  budget: shape.budget.default(null),
  cache: z.strictObject({ answers: may(true) }).prefault({}),
  retention: RetentionPart.prefault({}),
});

type Document = z.infer<typeof TenantFields>;
export type Policy = Omit<Document, '$schema' | 'modes' | 'layers_mode' | 'categories'> & {
  modes: Mode[];
  categories: PolicyRules;
};

/**
 * The document in its one form: old words in new ones, lists in one order, shadow rules apart from
 * those that apply.
 */
function normal(document: Document, context: z.RefinementCtx, modes: readonly Mode[]): Policy {
  const { $schema: _, layers_mode, ...rest } = document;
  const refuse = (input: unknown, path: string[], message: string) =>
    context.issues.push({ code: 'custom', input, path, message });
  if (layers_mode !== undefined && document.modes !== undefined) {
    refuse(layers_mode, ['layers_mode'], "only one of 'modes' and its older word 'layers_mode'");
  }
  const { categories, shadow } = sortRules(document.categories);
  for (const signal of Object.keys(shadow)) {
    if (signal in document.shadow) {
      refuse(true, ['categories', signal, 'shadow'], `only one shadow rule; 'shadow' already has one for '${signal}'`);
    }
  }
  const asked = document.modes ?? (layers_mode === undefined ? modes : layers_mode ? BACKEND_MODES : ['logits']);
  return withDefaultRules({
    ...rest,
    modes: MODES.filter((mode) => asked.includes(mode)),
    models: document.models === null ? null : [...new Set(document.models)].sort(),
    categories,
    shadow: { ...document.shadow, ...shadow },
    tests: sortTests(document.tests),
  });
}

/** A tenant's document. */
export const Policy = TenantFields.transform((document, context) => normal(document, context, ['logits']));

/** The document of the operator, a plan or a key. */
export const PolicyPart = PartFields.transform((document, context) => normal(document, context, MODES));

/** The neutral element of `tighten`: it restricts nothing. */
export const LOOSEST: Policy = PolicyPart.parse({});

/**
 * Stands in for a policy that is missing or broken: the safety expert alone. Nobody knows the
 * limits of that policy, so these are small: enough to keep a tenant going while somebody mends it.
 * They may still be above what it had. Limits of other levels hold as well.
 */
export const STRICTEST: Policy = {
  ...LOOSEST,
  limits: {
    ...LOOSEST.limits,
    max_tokens: 256,
    requests_per_minute: 20,
    tokens_per_minute: 20_000,
    concurrent_streams: 2,
    tokens_per_day: 200_000,
    tries_per_prompt_per_minute: 2,
  },
  floor: 1,
  opening: { tokens: 0, floor: 1 },
  rule: 'geometric',
  budget: 0,
  action: 'safety_only',
  modes: ['logits'],
  shaping: { n: 1, logprobs: false, bias: false, penalties: false, plain_prompts: false, grammar: false, tools: false },
  cache: { answers: false },
  trace: 'summary',
  retention: KEEPS_NOTHING,
};
