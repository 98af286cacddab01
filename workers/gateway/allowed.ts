/**
 * What a policy lets a request ask for, whatever the prompt: the models, and how much it is told.
 */
import type { Policy } from '#policies/schema.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { type RequestExtension, TRACES } from '#shared/api/plimsoll-extension.ts';
import type { Trace } from './answer-extension.ts';
import type { PoolMember } from './backend-pool.ts';
import { unknownModel } from './served-models.ts';

/**
 * The backends that the tenant knows of: a model that it may not ask does not exist for it. Throws
 * `model_not_found` if `model` is one.
 */
export function allowedMembers(
  members: readonly PoolMember[],
  { models }: Pick<Policy, 'models'>,
  model?: string,
): PoolMember[] {
  const allowed = members.filter((member) => models === null || member.model === null || models.includes(member.model));
  if (models !== null && model !== undefined && !models.includes(model)) throw unknownModel(model, allowed);
  return allowed;
}

/**
 * Throws unless the request may be told about the likeliest tokens, if it asks for them: they are a
 * part of the trace `tokens`, and log-probabilities.
 */
export function checkTop({ shaping }: Pick<Policy, 'shaping'>, { top }: RequestExtension, trace: Trace): void {
  if (top == null || top === 0) return;
  if (trace !== 'tokens') {
    throw new PlimsollError('invalid_value', `'plimsoll.top' is only allowed with "trace": "tokens".`, {
      param: 'plimsoll.top',
    });
  }
  if (shaping.logprobs) return;
  throw new PlimsollError(
    'permission_denied',
    "'plimsoll.top' is not allowed by the tenant's policy (shaping.logprobs).",
    {
      param: 'plimsoll.top',
    },
  );
}

/**
 * The trace of an answer. Asking for more than the policy allows is an error; without a wish it is
 * `summary`, or less where the policy says so.
 */
export function allowedTrace({ trace: most }: Pick<Policy, 'trace'>, asked: Trace | null | undefined): Trace {
  const rank = (trace: Trace) => TRACES.indexOf(trace);
  if (asked == null) return rank(most) < rank('summary') ? most : 'summary';
  if (rank(asked) <= rank(most)) return asked;
  throw new PlimsollError(
    'permission_denied',
    `'plimsoll.trace' "${asked}" is more than the tenant's policy allows. Ask for "${most}" or less, or leave the field out.`,
    { param: 'plimsoll.trace' },
  );
}
