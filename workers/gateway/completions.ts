/**
 * `POST /v1/completions`: answers to prompts without turns. Each prompt is decided on, answered,
 * kept and resumed by itself, as a chat is, and all of them are one request to the tenant's
 * account.
 */
import {
  type CompletionRequest,
  ignoredInCompletion,
  type OnePrompt,
  parseCompletionRequest,
  promptsOf,
} from '#shared/api/completion-request.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { TRACES } from '#shared/api/plimsoll-extension.ts';
import { MAX_PROMPTS_CHARS } from '#shared/api/text-limits.ts';
import { askedOfPrompt } from '#shared/protocol/asked-of.ts';
import { parseJson } from '../request/read-body.ts';
import { report } from '../request/render-error.ts';
import type { Caller } from '../request/tenant-directory.ts';
import { allowedMembers } from './allowed.ts';
import { demandShaping } from './allowed-shaping.ts';
import type { BegunAnswer } from './answer-extension.ts';
import { cacheHeaders, ignoredHeaders } from './answer-headers.ts';
import type { Answering, createPromptAnswerer, Metered } from './answer-prompt.ts';
import type { BackendPool, PoolMember } from './backend-pool.ts';
import { decodePrompts } from './decode-prompts.ts';
import type { FreeWork } from './free-work.ts';
import { costOf, costOfAll } from './limits-cost.ts';
import { mergeAnswers } from './merge-answers.ts';
import { poolMembers } from './pool-members.ts';
import type { AnswerEvents } from './read-answer.ts';
import { respond } from './respond.ts';
import { streamCompletion } from './stream-completion.ts';
import { wholeCompletion } from './whole-completion.ts';

type Answerer = ReturnType<typeof createPromptAnswerer>;

export function completions(
  { prepare, decideOn, begin }: Answerer,
  { pool, free }: { pool: BackendPool; free: FreeWork },
) {
  return async (c: Metered): Promise<Response> => {
    const body = parseJson(c.var.body);
    const completion = parseCompletionRequest(body);
    const prompts = promptsOf(completion);
    const perPrompt = completion.n ?? 1;
    return namingPrompt(async () => {
      demandShapingOfEither(completion, c.var.caller);
      const isReserved = await reserveUnread(prompts, { completion, c, pool });
      const { texts, bundle } = await textsOf(prompts, { completion, c, pool, free, isReserved });
      demandBoundedWork(texts);
      const asked = prompts.map((prompt, i) => askedOfPrompt(completion, { prompt, text: texts[i] ?? '' }));
      const prepared = await Promise.all(asked.map((one) => prepare(one, c, { bundle })));
      const costs = prepared.map(({ cost }) => cost);
      const reserved = isReserved ? undefined : c.var.meter.reserve(await costOfAll(costs));
      // All of them, before one costs anything.
      const decided = await Promise.all(prepared.map((one) => decideOn(one, c))).finally(() => reserved);
      const all = await beginAll(decided.map((one) => () => begin(one, c)));
      const begun = merged(all, { perPrompt });
      const states = new Set(all.map(({ state }) => state));
      const [first] = all;
      const headers = cacheHeaders(states.size === 1 ? first.state : 'miss', all.length === 1 ? first.ageMs : null);

      const wishes = {
        // On either side of a canary, another trace may be allowed.
        trace: TRACES.find((trace) => prepared.some((one) => one.trace === trace)) ?? 'none',
        top: completion.plimsoll?.top ?? 0,
        logprobs: completion.logprobs ?? null,
        choices: perPrompt,
      };
      const includeUsage = completion.stream_options?.include_usage === true;
      return respond({
        streams: completion.stream === true,
        whole: () => wholeCompletion(begun, wishes),
        events: (onError) => streamCompletion(begun, { ...wishes, includeUsage, onError }),
        headers: { ...headers, ...ignoredHeaders(ignoredInCompletion(body)) },
        onCancel: () => cancelAll(all),
        onError: (error) => {
          // If the client has left, the failure is not our error.
          if (first.hasLeft()) return;
          report(error, { request: c.var.requestId, trace: c.var.trace.span.traceId });
        },
      });
    });
  };
}

/** Which of two policies decides, only the text can say. What neither allows is not even read. */
function demandShapingOfEither(completion: CompletionRequest, { policy, canary }: Caller): void {
  try {
    demandShaping(completion, policy);
  } catch (thrown) {
    if (canary === null) throw thrown;
    demandShaping(completion, canary.policy);
  }
}

type About = { completion: CompletionRequest; c: Metered; pool: BackendPool };

const isIds = (prompt: OnePrompt) => typeof prompt !== 'string';

async function membersOf({ completion: { model }, c, pool }: About): Promise<PoolMember[]> {
  return allowedMembers(await poolMembers(pool, c, { model }), c.var.caller.policy, model);
}

/**
 * Reserves what ids can cost before a backend reads them: their number is known. Where a policy
 * counts the tries of a prompt, its text has to be known first: one text has many spellings in ids.
 * So there it is done later, and the reading has a bound of its own. Returns whether it is done.
 */
async function reserveUnread(prompts: readonly OnePrompt[], about: About): Promise<boolean> {
  const { completion, c } = about;
  const { caller, meter } = c.var;
  const { tries_per_prompt_per_minute: tries } = caller.limits ?? caller.policy.limits;
  if (!prompts.some(isIds) || tries !== null) return false;
  const members = await membersOf(about);
  const maxTokensOfPolicy = caller.policy.limits.max_tokens;
  const costs = prompts.map((prompt) => {
    const text = typeof prompt === 'string' ? prompt : '';
    return costOf(askedOfPrompt(completion, { prompt, text }), { members, maxTokensOfPolicy });
  });
  await meter.reserve(await costOfAll(await Promise.all(costs)));
  return true;
}

/**
 * What the prompts say. A backend tells the text of ids, and of which bundle it is; null if nobody
 * was asked.
 */
async function textsOf(
  prompts: readonly OnePrompt[],
  { free, isReserved, ...about }: About & { free: FreeWork; isReserved: boolean },
): Promise<{ texts: string[]; bundle: string | null }> {
  const ids = prompts.filter((prompt) => typeof prompt !== 'string');
  if (ids.length === 0) return { texts: prompts.filter((prompt) => typeof prompt === 'string'), bundle: null };
  const { config, caller, requestId } = about.c.var;
  free(caller, { isCounted: isReserved });
  const asked = { model: about.completion.model, prompts: ids };
  return decodePrompts(asked, {
    members: await membersOf(about),
    directiveKey: config.directiveKey,
    trace: about.c.var.trace,
    request: requestId,
    tenant: caller.tenant,
    client: about.c.req.raw.signal,
  });
}

/** Each text is read up to a length of its own, and all of them together are bounded, too. */
function demandBoundedWork(texts: readonly string[]): void {
  const characters = texts.reduce((sum, { length }) => sum + length, 0);
  if (texts.length === 1 || characters <= MAX_PROMPTS_CHARS) return;
  throw new PlimsollError(
    'string_above_max_length',
    `'prompt' has ${characters} characters in ${texts.length} prompts: expected at most ${MAX_PROMPTS_CHARS}.`,
    { param: 'prompt' },
  );
}

/** If one cannot begin, none goes on. */
async function beginAll(begins: readonly (() => Promise<Answering>)[]): Promise<[Answering, ...Answering[]]> {
  const settled = await Promise.allSettled(begins.map((begin) => begin()));
  const all = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  try {
    for (const one of settled) if (one.status === 'rejected') throw one.reason;
    // Until then, an error can still set the status.
    await Promise.all(all.map(({ ready }) => ready));
  } catch (thrown) {
    for (const { begun } of all) begun.catch(() => undefined);
    cancelAll(all);
    throw thrown;
  }
  // The cast: there is at least one prompt.
  return all as [Answering, ...Answering[]];
}

function cancelAll(all: readonly Answering[]): void {
  for (const { cancel } of all) cancel();
}

/** The answers to all prompts as one. Each begins when it can. */
async function merged(
  all: readonly [Answering, ...Answering[]],
  { perPrompt }: { perPrompt: number },
): Promise<BegunAnswer> {
  if (all.length === 1) return all[0].begun;
  const known: BegunAnswer[] = [];
  async function* eventsOf(begun: Promise<BegunAnswer>, i: number): AnswerEvents {
    const answer = await begun;
    known[i] = answer;
    return yield* answer.events;
  }
  const first = await all[0].begun.catch((thrown: unknown) => {
    cancelAll(all);
    throw thrown;
  });
  return {
    ...first,
    events: mergeAnswers(
      all.map(({ begun }, i) => eventsOf(begun, i)),
      { firstOf: (i) => i * perPrompt },
    ),
    aboutOf: (choice) => known[Math.floor(choice / perPrompt)] ?? first,
  };
}

/** An error about messages is one about the prompt, here. */
async function namingPrompt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof PlimsollError) || thrown.param !== 'messages') throw thrown;
    const { code, message, cause, extension } = thrown;
    throw new PlimsollError(code, message.replace('Your messages have', 'Your prompt has'), {
      ...{ param: 'prompt', cause, extension },
    });
  }
}
