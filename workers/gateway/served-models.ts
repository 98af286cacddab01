/**
 * Which models there are: what the pool's backends serve, or served when they were last heard. So a
 * model whose backends are all down still exists, and a request for it may be sent again.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { Model } from '#shared/api/models.ts';
import type { Sampling } from '#shared/api/sampling.ts';
import { shortText } from '#shared/api/short-text.ts';
import { MODES, type Mode } from '#shared/line/line.ts';
import { ROLES, type Role } from '#shared/protocol/expert-directive.ts';
import { isOnlyHelpful, type PoolMember } from './pool-member.ts';

/**
 * All models, by id. What two backends of a model do not share, the weaker one decides. Backends of
 * the helpfulness pool decide nothing: whether one is there counts, for the mode `edge`.
 *
 * @param allowed the modes that the tenant may ask for
 * @param mixes whether this edge can sign for what it mixes itself
 */
export function servedModels(
  members: readonly PoolMember[],
  { allowed = MODES, mixes = true }: { allowed?: readonly Mode[]; mixes?: boolean } = {},
): Model[] {
  const deciding = members.filter((member) => !isOnlyHelpful(member));
  const ids = [...new Set(deciding.flatMap(({ model }) => model ?? []))].sort();
  return ids.map((id) => {
    const own = deciding.filter(({ model }) => model === id);
    const contextLength = Math.min(...own.map((member) => member.contextLength));
    const dates = own.flatMap(({ created }) => created ?? []);
    return {
      id,
      object: 'model',
      // Copies of one bundle may have different dates. The oldest is nearest to the truth.
      created: dates.length === 0 ? 0 : Math.min(...dates),
      owned_by: 'plimsoll',
      max_model_len: contextLength,
      plimsoll: {
        context_length: contextLength,
        // A mode is offered if any backend has it, because requests are sent to those that do. To
        // mix experts takes a pool of each.
        modes: MODES.filter((mode) => {
          const has = (role: Role) => members.some(({ model, serves }) => model === id && serves.includes(role));
          const isOffered = mode !== 'edge' || (mixes && ROLES.every(has));
          return allowed.includes(mode) && isOffered && own.some(({ modes }) => modes.includes(mode));
        }),
        sampling: sameSampling(own),
        available: own.some(({ alive }) => alive),
      },
    };
  });
}

/** The defaults of a model's backends; null if they differ. */
function sameSampling(own: readonly PoolMember[]): Sampling | null {
  const [first, ...others] = own.map(({ sampling }) => sampling);
  const differs = others.some((other) => JSON.stringify(other) !== JSON.stringify(first));
  return first === undefined || differs ? null : first;
}

/**
 * The backends that serve a model. Throws `model_not_found` if there are none, or
 * `backend_unavailable` if one of the backends was never heard, because it may serve the model.
 */
export function membersServing(members: readonly PoolMember[], model: string): PoolMember[] {
  const serving = members.filter((member) => member.model === model);
  if (serving.length > 0) return serving;
  if (members.length === 0 || members.some((member) => member.model === null)) {
    throw new PlimsollError(
      'backend_unavailable',
      `No backend that answers serves the model '${shortText(model)}', and some have not answered yet. Please try again.`,
      { detail: { members } },
    );
  }
  throw unknownModel(model, members);
}

/**
 * The error for a model that nobody serves, or that the tenant may not ask. `members` are those it
 * may know.
 */
export function unknownModel(model: string, members: readonly PoolMember[]): PlimsollError {
  const there = servedModels(members).map(({ id }) => `'${id}'`);
  const known = there.length === 0 ? '' : ` There is ${there.join(', ')}.`;
  return new PlimsollError(
    'model_not_found',
    `The model '${shortText(model)}' does not exist or you do not have access to it.${known}`,
    { param: 'model' },
  );
}

/**
 * The model to show to people who have not chosen one: that of the last backend in the settings
 * that is well, or else of the last one that was. `plimsoll serve` lists its toy first.
 */
export function defaultModel(members: readonly PoolMember[]): string | null {
  const known = members.filter((member) => member.model !== null && !isOnlyHelpful(member));
  return (known.findLast(({ alive }) => alive) ?? known.at(-1))?.model ?? null;
}
