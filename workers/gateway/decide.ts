/**
 * The decision about a prompt: its categories, and what the policy makes of them. The decision is a
 * pure function. So an isolate makes it once per tenant, policy version, classifier, prompt and
 * request bounds. The model is not among them: whether it may be asked is settled before.
 */
import { LRUCache } from 'lru-cache';
import { compile, secondLookOf, type Verdict } from '#policies/compile.ts';
import { LOOSEST, type Policy } from '#policies/schema.ts';
import { tighten } from '#policies/tighten.ts';
import type { CategoryProbability, RequestExtension } from '#shared/api/plimsoll-extension.ts';
import type { Classifier } from '#shared/classify/classify.ts';
import { SPELLS_NOTHING, type Spelled } from '#shared/grammar/spelled-text.ts';
import type { SignalValues } from '#shared/line/rules.ts';
import { type Prompt, promptTexts } from '#shared/protocol/prompt-texts.ts';
import type { SecondLook } from '#shared/protocol/second-look.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { Caller } from '../request/tenant-directory.ts';
import { classifyText, listCategories, rounded, WORK_BETWEEN_PAUSES } from './classify-text.ts';
import { createPacer } from './pace.ts';
import { verdictUnread } from './verdict-unread.ts';

/** Each one takes about two kilobytes: most of it is what the classifier found. */
const MAX_DECISIONS = 2_000;

type Decision = {
  categories: CategoryProbability[];
  unread: number;
  uncertain: number;
  verdict: Verdict;
  /** What the verdict was made from, for what is said at the end of the answer. */
  policy: Policy;
  signals: SignalValues;
  /** The rules for a backend's second look at the prompt; null if there are none. */
  secondLook: SecondLook | null;
  /** The policy's limit on an answer's tokens; null if there is none. */
  maxTokens: number | null;
};

export type Decide = (
  prompt: Prompt,
  options: {
    caller: Caller;
    extension: RequestExtension;
    /** What the request can make an answer say, besides what it says itself. */
    spelled?: Spelled;
  },
) => Promise<{ decision: Decision; cache: 'hit' | 'miss' }>;

export function createDecide(classifier: Classifier): Decide {
  const decisions = new LRUCache<string, Decision>({ max: MAX_DECISIONS });

  return async ({ messages, tools = [] }, { caller, extension, spelled = SPELLS_NOTHING }) => {
    const floor = extension.floor ?? LOOSEST.floor;
    const budget = extension.budget ?? LOOSEST.budget;
    const mode = extension.mode ?? 'logits';
    const spellsNothing = spelled.text === '' && !spelled.isUnread;
    const said = tools.length === 0 && spellsNothing ? messages : [messages, tools, spelled];
    const promptDigest = await sha256Hex(JSON.stringify(said));
    const key = JSON.stringify([caller.tenant, caller.version, floor, budget, mode, classifier.version, promptDigest]);
    const known = decisions.get(key);
    if (known !== undefined) return { decision: known, cache: 'hit' };

    // We read the text of every role, and of the tools. The client writes all of it, the
    // assistant's turns too, so skipping one would leave a way around the classifier.
    const text = [...promptTexts({ messages, tools }), ...(spelled.text === '' ? [] : [spelled.text])].join('\n');
    const found = await classifyText(classifier, text, createPacer({ most: WORK_BETWEEN_PAUSES }));
    const { failed } = found;
    const signals = spelled.isUnread ? { ...found.signals, unread: 1 } : found.signals;
    // Most requests ask for no bounds of their own, and joining costs as much as all the rest here.
    const isAsked = floor !== LOOSEST.floor || budget !== LOOSEST.budget;
    const policy = isAsked ? tighten(caller.policy, { ...LOOSEST, floor, budget }) : caller.policy;
    const decision: Decision = {
      categories: listCategories(signals),
      unread: rounded(signals.unread),
      uncertain: rounded(signals.uncertain),
      verdict: spelled.isUnread ? verdictUnread(policy, { mode }) : compile(policy, signals, { mode }),
      policy,
      signals,
      secondLook: secondLookOf(policy),
      maxTokens: policy.limits.max_tokens,
    };
    // A failure may be temporary. Remembering it would keep the prompt at the strictest line for as
    // long as the isolate lives.
    if (!failed) decisions.set(key, decision);
    return { decision, cache: 'miss' };
  };
}
