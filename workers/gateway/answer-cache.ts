/**
 * Answers that are given more than once: those that are kept, and those under way that equal
 * requests share. A tenant's policy has to allow it, and the request's answer has to be fixed
 * (answer-key.ts).
 *
 * Whoever asks has been let in, and the prompt has been decided on, before anything is looked for
 * here. So a kept answer ends with its key, its tenant and its policy, within the time in which the
 * edge hears of it (tenant-directory.ts).
 */
import type { CacheState } from '#shared/api/plimsoll-extension.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import type { GenerateBody, Seed } from '#shared/protocol/generate.ts';
import type { AppContext } from '../request/context.ts';
import { logError } from '../request/log.ts';
import { onAbort } from '../request/on-abort.ts';
import type { Caller } from '../request/tenant-directory.ts';
import type { BegunAnswer } from './answer-extension.ts';
import { answerKey, drawsNothing } from './answer-key.ts';
import { readCacheWishes } from './cache-wishes.ts';
import { deltasOf, isWorthKeeping, replay, toKept } from './kept-answer.ts';
import type { KeptAnswers } from './kept-answers.ts';
import type { PoolMember } from './pool-member.ts';
import type { AnswerEvents } from './read-answer.ts';
import { createSharedAnswers, type Leader, type MadeAnswer, type SharedHead } from './shared-answers.ts';

/** An answer that was made, or is being made, for another request. */
type OthersAnswer = {
  state: Extract<CacheState, 'hit' | 'coalesced'>;
  /** Resolves when the answer has begun. */
  begun: Promise<SharedHead & { events: AnswerEvents }>;
  /** Whether that may take long, so that the client has to be told to wait. */
  isWaiting: boolean;
  /** How long it has been kept; 0 if it is under way. */
  ageMs: number;
  /** Call this when the client has left. */
  leave: () => void;
};

/** An answer that this request makes; with a lead, others may follow it and it may be kept. */
type OwnAnswer = { state: Extract<CacheState, 'miss' | 'off'>; lead: Lead | null };

/** See `Leader` for what the calls mean. */
type Lead = Pick<Leader, 'waits' | 'giveUp' | 'abandoned'> & {
  /** Call this when the client has left. */
  leave: () => void;
  /** Returns the answer that the client reads. It is made at its own pace. */
  share(begun: Promise<BegunAnswer>): Promise<BegunAnswer>;
};

type Question = {
  caller: Caller;
  directive: Omit<Directive, 'id'>;
  request: GenerateBody;
  /** The seeds that the client has fixed: with the request, or by its `Idempotency-Key`. */
  seed: { named: Seed | null; fixed: Seed | null };
  /** Who would be asked first. */
  member: PoolMember | undefined;
};

export type AnswerCache = (
  c: Pick<AppContext, 'req' | 'var' | 'executionCtx'>,
  question: Question,
) => Promise<OthersAnswer | OwnAnswer>;

const FOLLOW_TRIES = 2;

export function createAnswerCache(kept: KeptAnswers): AnswerCache {
  const shared = createSharedAnswers();

  return async (c, { caller, directive, request, seed, member }) => {
    const wishes = readCacheWishes(c.req.header('cache-control'));
    const fixed = drawsNothing(request) ? { seed: seed.named } : seed.fixed !== null && { seed: seed.fixed };
    const bundle = member?.bundle ?? null;
    const draws = member?.draws ?? (drawsNothing(request) ? '' : null);
    // In the mode `edge`, two pools answer together, each with weights of its own.
    const isMixedHere = directive.line.mode === 'edge';
    const mayKeep = caller.policy.cache.answers && wishes.mayKeep && !isMixedHere;
    if (!mayKeep || !fixed || bundle === null || draws === null) return { state: 'off', lead: null };
    const parts = { directive, request, ...fixed };
    // Where the policy has no rules for a second look, no probe takes part in the answer.
    const probe = directive.second_look === null ? null : (member?.secondLook ?? null);
    const key = await answerKey({ ...parts, bundle, draws, probe });
    const { tenant, key: apiKey, policy, classifier } = directive;
    const asked = { tenant, key: apiKey, policy, classifier, bundle, probe };
    const { receiptJwks: jwks } = c.var.config;

    for (let tries = 0; wishes.mayReuse && tries < FOLLOW_TRIES; tries++) {
      const reader = shared.follow(key);
      if (reader === null) break;
      onAbort(c.req.raw.signal, reader.leave);
      const head = await reader.ready().catch((thrown: unknown) => {
        reader.leave();
        throw thrown;
      });
      if (head !== 'gone') {
        const begun = reader.begun().then((begun) => ({ ...begun, events: reader.events() }));
        return { state: 'coalesced', begun, isWaiting: head === null, ageMs: 0, leave: reader.leave };
      }
      reader.leave();
    }

    // Nobody may begin the same answer while the cache is being asked, so the lead comes first.
    const leader = shared.lead(key);
    const found = wishes.mayReuse ? await kept.get(key, { asked, jwks, maxAgeMs: wishes.maxAgeMs }) : null;
    if (found !== null) {
      const { answer, ageMs } = found;
      const head = { model: answer.receipt.model, systemFingerprint: answer.systemFingerprint };
      // Whoever has followed meanwhile finds it kept, and may find it too old.
      leader.giveUp();
      const begun = Promise.resolve({ ...head, events: replay(answer) });
      return { state: 'hit', begun, isWaiting: false, ageMs, leave: leader.own.leave };
    }

    async function keep({ head: { systemFingerprint }, deltas, end }: MadeAnswer): Promise<void> {
      const { receipt, more = [] } = end;
      const receipts = [receipt, ...more.map((other) => other.receipt)];
      if (!receipts.every((one, choice) => isWorthKeeping(one, deltasOf(deltas, choice)))) return;
      try {
        // Another backend than planned may have answered, with another probe or without one.
        const looked = receipt.second_look?.version ?? null;
        const made = await answerKey({ ...parts, bundle: receipt.bundle, draws: receipt.draws, probe: looked });
        const tokensToo = request.expert_logprobs === true || request.logprobs === true;
        const about = { key: made, keptAtMs: Date.now(), systemFingerprint, tokensToo };
        c.executionCtx.waitUntil(kept.put(toKept({ deltas, end }, about)));
      } catch (cause) {
        // It has been answered all the same.
        logError({ event: 'answer-not-kept', request: c.var.requestId, cause });
      }
    }

    function share(begun: Promise<BegunAnswer>): Promise<BegunAnswer> {
      const made = begun.then(({ events, head: { model, system_fingerprint: systemFingerprint } }) => ({
        model,
        systemFingerprint,
        events,
      }));
      c.executionCtx.waitUntil(leader.read(made, keep));
      return begun.then((answer) => ({ ...answer, events: leader.own.events() }));
    }
    const { waits, giveUp, abandoned, own } = leader;
    return { state: 'miss', lead: { waits, giveUp, abandoned, leave: own.leave, share } };
  };
}
